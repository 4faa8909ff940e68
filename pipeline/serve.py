"""Serves the pushed model on this machine: `python -m pipeline.serve`; see --help."""

import argparse
import dataclasses
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from components import standard_error
from models.serving import saved_model
from pipeline import program
from pipeline.exit_codes import DONE, INTERRUPTED, TERMINATED, USAGE_ERROR
from pipeline.program import UsageError

# Only the standard library is imported here, so that --help and usage errors are fast.

WATCH_SECONDS = 1.0
MIN_TOKEN = 16  # characters of a token
GRACE_SECONDS = 60  # time for open requests after SIGTERM
# TensorFlow starts one for each processor. On a single one, short requests would wait until a long one is done.
MIN_THREADS = 4

EPILOG = """\
TensorFlow Serving's REST API is at /v1/models/NAME, a page to try the model on at /, Prometheus metrics at /metrics,
health at /healthz. A version that is pushed is picked up within seconds; the one before it stays beside it, to compare.
It answers this machine alone unless --host says otherwise, which takes a --token-file: every request but those for
/healthz then needs the header "Authorization: Bearer TOKEN", and a browser asks for the token as a password.
SIGTERM stops the server once the requests in flight are answered, after 60 seconds at the latest.
exit codes: 0 stopped by SIGTERM; 2 bad usage; 130 stopped by Ctrl-C; 143 SIGTERM cut off requests after 60 seconds."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog=program.name("serve"),
        description="Serves the pushed model on this machine.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_model_arguments(parser)
    parser.add_argument("--name", default="lm", help="the model's name in addresses (default: lm)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8501, help="port to listen on; 0 takes a free one (default: 8501)")
    parser.add_argument("--versions", type=int, default=2, help="how many of the newest versions to serve (default: 2)")
    parser.add_argument(
        "--max-body-bytes", type=int, default=8 * 2**20, help="largest request body taken (default: 8388608)"
    )
    parser.add_argument(
        "--max-text-bytes", type=int, default=10**6, help="longest single text taken (default: 1000000)"
    )
    parser.add_argument("--max-seconds", type=int, default=60, help="longest time for an answer (default: 60)")
    parser.add_argument(
        "--token-file", metavar="FILE", type=program.path, help="file of a token that every request must bring along"
    )
    parser.add_argument(
        "--no-token", action="store_true", help="let anyone who reaches a --host beyond this machine ask, without token"
    )
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a further name, such as a proxy's, that requests may be addressed to; may be repeated. With a --host "
        "beyond this machine, any name is accepted unless this option is given",
    )
    parsed = parser.parse_args(arguments)
    for option in ("versions", "max_body_bytes", "max_text_bytes", "max_seconds"):
        if getattr(parsed, option) < 1:
            parser.error(f"--{option.replace('_', '-')} {getattr(parsed, option)}: expected 1 or more")
    if not 0 <= parsed.port < 65536:
        parser.error(f"--port {parsed.port}: expected 0 to 65535")
    if parsed.no_token and parsed.token_file:
        parser.error("--no-token and --token-file: expected one of them")
    if not parsed.name or set(parsed.name) & set("/:"):
        parser.error(f"--name {parsed.name!r}: expected a name without / and :")
    return parsed


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that name the model: `--model` and `--config`.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--model",
        metavar="DIR",
        type=program.path,
        help="folder of the pushed versions, or of one version (default: the configured serving folder)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=program.path,
        help=f"configuration that names the serving folder (default: {program.DEFAULT_CONFIG}, if it exists)",
    )


def model_folder(parsed: argparse.Namespace) -> Path:
    """Returns the folder that `--model` or the configuration names.

    Args:
        parsed: Parsed arguments, with those of `add_model_arguments`.

    Returns:
        A folder of versions, or of one version.

    Raises:
        UsageError: If the folder holds no model, or the configuration cannot be used.
    """
    folder = parsed.model or _configured_folder(parsed.config)
    if saved_model.is_saved_model(folder):
        return folder
    where = f"--model {folder}" if parsed.model else f"The serving folder {folder} (pipeline.serving_dir)"
    advice = f"Train and push one with `{program.main_job()}`, or name another folder with --model."
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UsageError(f"{where} {found}; expected a folder of versions, such as {folder / '1'}. {advice}")
    if not saved_model.versions(folder):
        raise UsageError(f"{where} has no version in it; expected folders such as {folder / '1'}. {advice}")
    return folder


def _configured_folder(file: Path | None) -> Path:
    from pipeline import config
    from pipeline.pipeline import serving_dir

    try:
        return serving_dir(config.load(program.configuration_file(file)).settings)
    except config.ConfigurationError as error:
        raise UsageError(str(error)) from error


def bind(host: str, port: int) -> socket.socket:
    """Opens a listening socket.

    Args:
        host: Name or address of this machine.
        port: Port; 0 takes a free one.

    Raises:
        UsageError: If the port is in use, or this machine does not have the address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
        return listener
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", "it is not a valid host name")
        raise UsageError(
            f"Cannot listen on {host}:{port}: {reason}. Choose another --port (0 takes a free one) or --host."
        ) from error


def read_token(path: Path | None) -> bytes | None:
    """Reads the token in a file, without the whitespace around it.

    Args:
        path: The file; None for no token.

    Returns:
        The token, or None.

    Raises:
        UsageError: If the file cannot be read or holds no token.
    """
    if path is None:
        return None
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--token-file {path} cannot be read: {error.strerror}.") from error
    if len(token) < MIN_TOKEN or len(token.split()) != 1 or not token.isascii():
        raise UsageError(
            f"--token-file {path} holds no token; expected {MIN_TOKEN} ASCII characters or more, no spaces, such as "
            "`openssl rand -hex 32` prints."
        )
    return token


def check_address(parsed: argparse.Namespace, address: str) -> bool:
    """Returns whether only this machine can reach an address.

    Args:
        parsed: Parsed arguments: `host`, `token_file`, `no_token`.
        address: The address that the server listens on.

    Raises:
        UsageError: If other machines can reach it, and neither --token-file nor --no-token is given.
    """
    local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    if not (local or parsed.token_file or parsed.no_token):
        raise UsageError(
            f"--host {parsed.host} lets other machines send requests. Name the token that they need with --token-file "
            "FILE, or let them in without one with --no-token."
        )
    return local


@standard_error.for_messages()
def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    previous = signal.signal(signal.SIGTERM, _stop_while_loading)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(max(MIN_THREADS, _processors())))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        folder = model_folder(parsed)
        token = read_token(parsed.token_file)
        with bind(parsed.host, parsed.port) as listener:
            local = check_address(parsed, listener.getsockname()[0])
            return _serve(parsed, folder, listener, local, token)
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


def _processors() -> int:
    """Returns the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stop_while_loading(*_) -> None:
    """Ends the process at once, as there is no request yet and nothing is written."""
    logging.info("Stopped.")
    os._exit(DONE)


def _serve(parsed: argparse.Namespace, folder: Path, listener: socket.socket, local: bool, token: bytes | None) -> int:
    try:
        import uvicorn

        from pipeline.server.app import Access, Limits, ModelServer, make_app
        from pipeline.server.connections import server_config
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed. {program.install_extra('serve')}") from error
    from components.quiet_import import import_quietly

    logging.info("Loading %s ...", folder)
    load = import_quietly("pipeline.server.served_model").ServedModel
    limits = Limits(parsed.max_body_bytes, parsed.max_text_bytes, seconds=parsed.max_seconds)
    limits = dataclasses.replace(limits, held_bytes=max(limits.held_bytes, 4 * limits.body_bytes))
    serving = ModelServer(parsed.name, folder, parsed.versions, limits, load)
    serving.versions.refresh()
    if not serving.versions.available():
        raise UsageError(f"No version in {folder} can be served; see above. Push a model with `{program.main_job()}`.")
    access = Access(
        frozenset(name.lower() for name in parsed.allow_host), any_host=not (local or parsed.allow_host), token=token
    )
    config = server_config(make_app(serving, WATCH_SECONDS, access), GRACE_SECONDS)
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    # uvicorn stops at SIGTERM, then raises the signal again; it must not end the process before the exit code is known.
    signal.signal(signal.SIGTERM, lambda *_: None)
    logging.info("The page is at %s/, the API at %s/v1/models/%s. Stop with Ctrl-C.", address, address, parsed.name)
    uvicorn.Server(config).run(sockets=[listener])
    logging.info("Stopped.%s", f" Requests cut off: {serving.cut_off}." if serving.cut_off else "")
    return TERMINATED if serving.cut_off else DONE


def command(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command and ends the process, even if threads are still running the model.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    exit_code = main(arguments)
    logging.shutdown()
    os._exit(exit_code)


if __name__ == "__main__":
    command()
