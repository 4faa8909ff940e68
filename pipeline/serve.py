"""Serves the pushed model on this machine: `python -m pipeline.serve`; see --help."""

import argparse
import logging
import os
import signal
import socket
import sys
from pathlib import Path

# Only the standard library is imported here: --help and usage errors answer at once.

USAGE_ERROR, INTERRUPTED = 2, 130
WATCH_SECONDS = 1.0
GRACE_SECONDS = 60  # that requests in flight may take after SIGTERM

EPILOG = """\
TensorFlow Serving's REST API is at /v1/models/NAME, a page to try the model on at /, Prometheus metrics at /metrics,
health at /healthz. A version that is pushed is picked up within seconds; the one before it stays beside it, to compare.
SIGTERM stops the server once the requests in flight are answered."""


class UsageError(Exception):
    """The command cannot do what was asked: the message says why and what to do."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.serve",
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
    parsed = parser.parse_args(arguments)
    for option in ("versions", "max_body_bytes", "max_text_bytes"):
        if getattr(parsed, option) < 1:
            parser.error(f"--{option.replace('_', '-')} {getattr(parsed, option)}: expected 1 or more")
    if not 0 <= parsed.port < 65536:
        parser.error(f"--port {parsed.port}: expected 0 to 65535")
    if not parsed.name or set(parsed.name) & set("/:"):
        parser.error(f"--name {parsed.name!r}: expected a name without / and :")
    return parsed


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--model and --config: which model."""
    parser.add_argument(
        "--model",
        metavar="DIR",
        type=Path,
        help="folder of the pushed versions, or of one version (default: the configured serving folder)",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration that names the serving folder (default: pipeline_config.yaml, where there is one)",
    )


def model_folder(parsed: argparse.Namespace) -> Path:
    """The folder that --model or the configuration names.

    Raises:
        UsageError: If it holds no model.
    """
    folder = parsed.model or _configured_folder(parsed.config)
    if (folder / "saved_model.pb").is_file():
        return folder
    where = f"--model {folder}" if parsed.model else f"The serving folder {folder} (pipeline.serving_dir)"
    advice = "Train and push one with `make run`, or name another folder with --model."
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UsageError(f"{where} {found}; expected a folder of versions, such as {folder / '1'}. {advice}")
    if not any(path.name.isdecimal() and path.is_dir() for path in folder.iterdir()):
        raise UsageError(f"{where} has no version in it; expected folders such as {folder / '1'}. {advice}")
    return folder


def _configured_folder(file: Path | None) -> Path:
    from pipeline import config
    from pipeline.pipeline import serving_dir

    default = Path("pipeline_config.yaml")
    try:
        return serving_dir(config.load(file or (default if default.exists() else None)).settings)
    except config.ConfigurationError as error:
        raise UsageError(str(error)) from error


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address.

    Raises:
        UsageError: If it is taken or is no address of this machine.
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
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another --port (0 takes a free one) or --host."
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parsed = parse_arguments(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    try:
        folder = model_folder(parsed)
        listener = bind(parsed.host, parsed.port)
        return _serve(parsed, folder, listener)
    except UsageError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED


def _serve(parsed: argparse.Namespace, folder: Path, listener: socket.socket) -> int:
    try:
        import uvicorn

        from pipeline.server.app import Limits, Serving, make_app
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed. Install the extra: pip install -e '.[serve]'.") from error
    from components.quiet_import import import_quietly

    logging.info("Loading %s ...", folder)
    load = import_quietly("pipeline.server.served_model").ServedModel
    limits = Limits(parsed.max_body_bytes, parsed.max_text_bytes)
    serving = Serving(parsed.name, folder, parsed.versions, limits, load)
    serving.versions.refresh()
    if not serving.versions.available():
        raise UsageError(f"No version in {folder} can be served; see above. Push a model with `make run`.")
    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    config = uvicorn.Config(
        make_app(serving, WATCH_SECONDS),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # uvicorn stops at SIGTERM, then raises the signal anew: for us the stop is all there is to it.
    signal.signal(signal.SIGTERM, lambda *_: None)
    logging.info("The page is at %s/, the API at %s/v1/models/%s. Stop with Ctrl-C.", address, address, parsed.name)
    uvicorn.Server(config).run(sockets=[listener])
    logging.info("Stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
