"""Reads texts at a URL (`gs://`, `s3://`, `hdfs://`, ...) through Apache Beam's file systems.

Beam is imported only if a URL is used, because importing it takes a second.
"""

import re
from typing import TYPE_CHECKING, Any, BinaryIO

from components.base import ComponentError
from components.quiet_import import import_quietly

if TYPE_CHECKING:
    from apache_beam.io.filesystem import FileMetadata

Metadata = tuple[int, float]  # a file's size in bytes, and when it was last written, in seconds since 1970

_GLOB = re.compile(r"[*?\[\]]")


def list_files(url: str) -> dict[str, Metadata]:
    """Lists the files below a URL, without hidden ones.

    Args:
        url: URL of a folder.

    Returns:
        The size and time of each file by its name relative to the URL, sorted by name.

    Raises:
        ComponentError: If the URL has glob characters, no file system knows it, it cannot be listed, or it has no file.
    """
    if glob := _GLOB.search(url):
        raise ComponentError(
            f"example_gen.data_dir: found {glob[0]!r} in {url!r}, expected the URL of one folder. Choose files with "
            "example_gen.pattern."
        )
    try:
        matches = _file_systems().match([f"{url}/**"])
    except Exception as error:  # each file system raises its own library's errors
        raise ComponentError(f"example_gen.data_dir: {url!r} cannot be listed: {_reason(error)}") from error
    files = {file.path.removeprefix(f"{url}/"): _metadata(file) for file in matches[0].metadata_list}
    visible = {name: metadata for name, metadata in sorted(files.items()) if _is_visible(name)}
    if not visible:
        raise ComponentError(f"example_gen.data_dir: there is no file below {url}. Put the text files there.")
    return visible


def metadata(url: str) -> Metadata:
    """Returns a file's size in bytes and its time in seconds since 1970.

    Args:
        url: The file's URL.

    Raises:
        OSError: If the file is gone or cannot be reached.
    """
    try:
        return _metadata(_file_systems().get_filesystem(url).metadata(url))
    except Exception as error:
        raise OSError(_reason(error)) from error


def open_file(url: str) -> BinaryIO:
    """Opens a file's bytes, as they are stored.

    Args:
        url: The file's URL.

    Raises:
        OSError: If the file is gone or cannot be reached.
    """
    plain = import_quietly("apache_beam.io.filesystem").CompressionTypes.UNCOMPRESSED  # the caller unpacks it
    try:
        return _file_systems().open(url, compression_type=plain)
    except Exception as error:
        raise OSError(_reason(error)) from error


def _file_systems() -> Any:
    return import_quietly("apache_beam.io.filesystems").FileSystems


def _metadata(file: "FileMetadata") -> Metadata:
    return file.size_in_bytes, file.last_updated_in_seconds


def _is_visible(name: str) -> bool:
    return bool(name) and not name.endswith("/") and not any(part.startswith(".") for part in name.split("/"))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
