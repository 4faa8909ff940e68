"""Checks the section `tracking`, and converts its address to what MLflow takes."""

import importlib.metadata
import shlex
import urllib.parse
from pathlib import Path

from pipeline import program


def problems(uri: str | None) -> list[str]:
    """Returns a message if `tracking.mlflow_uri` is not an address. It does not try to reach a server.

    Args:
        uri: `tracking.mlflow_uri`; None if tracking is off.
    """
    if uri is None:
        return []
    expected = "expected sqlite:///FILE, a folder, or the http(s) address of a server."
    try:
        return _problems(uri, expected)
    except (ValueError, RuntimeError, OSError) as error:  # of an address, a user's home, a name that is too long
        # Without the address, which may have a password and which an OSError's own text has.
        reason = error.strerror if isinstance(error, OSError) else error
        return [f"tracking.mlflow_uri: found an address that cannot be read ({reason}), {expected}"]


def _problems(uri: str, expected: str) -> list[str]:
    scheme, separator, rest = uri.partition("://")
    if separator and scheme not in ("sqlite", "http", "https"):
        return [f"tracking.mlflow_uri: found {scheme}://…, {expected}"]
    if separator and (not rest or scheme == "sqlite" and len(rest) < 2):
        return [f"tracking.mlflow_uri: found {uri!r}, {expected}"]
    if scheme != "sqlite" and separator:
        return _server_problems(uri, expected)
    if not separator and Path(uri).expanduser().is_file():
        return [f"tracking.mlflow_uri: found a file at {uri!r}, {expected} Of a database: sqlite:///{uri}."]
    return []


def _server_problems(uri: str, expected: str) -> list[str]:
    address = urllib.parse.urlsplit(uri)
    if address.password:
        return [
            "tracking.mlflow_uri: found a password in it, which reports would show. Leave it out and set the variables "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
        ]
    _ = address.port  # raises an error if it is no port
    if not address.hostname or any(character.isspace() for character in uri):
        return [f"tracking.mlflow_uri: found {uri!r}, {expected}"]
    return []


def missing(uri: str | None) -> list[str]:
    """Returns a message if runs are tracked and MLflow is not installed, or too old.

    Args:
        uri: `tracking.mlflow_uri`; None if tracking is off.
    """
    if uri is None:
        return []
    try:
        version = importlib.metadata.version("mlflow")
    except importlib.metadata.PackageNotFoundError:
        return [f"tracking.mlflow_uri is set, but mlflow is not installed. {program.install_extra('mlflow')}"]
    if int(version.partition(".")[0]) < 3:
        found = f"mlflow {version} is too old; expected 3 or newer"
        return [f"tracking.mlflow_uri is set, but {found}. {program.install_extra('mlflow')}"]
    return []


def store_address(uri: str) -> str:
    """Returns the address that MLflow takes. A folder stands for the database `mlflow.db` in it.

    Args:
        uri: `tracking.mlflow_uri`.
    """
    return uri if "://" in uri else f"sqlite:///{Path(uri).expanduser().absolute() / 'mlflow.db'}"


def resend_command(run_id: str, root: Path, uri: str) -> str:
    """Returns the command that sends MLflow what is missing of a run.

    Args:
        run_id: The run's id.
        root: The pipeline's root.
        uri: `tracking.mlflow_uri`.
    """
    arguments = shlex.join(["--publish", run_id, "--root", str(root), "--mlflow-uri", uri])
    return f"{program.name('report')} {arguments}"
