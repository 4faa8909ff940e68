"""How a file stores its text (plain or gzip, UTF-8 or what its byte-order mark says), and reading its lines as UTF-8.

A line ends at a newline, a carriage return or both together.
"""

import codecs
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from components.base import ComponentError
from components.example_gen import remote_files
from models.files import is_url

HEAD_BYTES = 64 * 1024
# The text of a gzip file may have GZIP_FREE_BYTES plus GZIP_GROWTH times the file's size. Text grows three to ten
# times, a gzip bomb a thousand times.
GZIP_FREE_BYTES = 64 * 1024 * 1024
GZIP_GROWTH = 100

_READ_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_FOREIGN_MAGIC = {
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"%PDF-": "PDF",
}
# UTF-32 comes first, because its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")


class TextFormat(NamedTuple):
    """How a file stores its text.

    Attributes:
        compressed: Whether it is gzip.
        encoding: "utf-16" or "utf-32" if its byte-order mark says so; None if the bytes are used unchanged.
    """

    compressed: bool
    encoding: str | None

    @property
    def seekable(self) -> bool:
        """Whether reading can start in the middle, because offsets in the file are offsets in the text."""
        return not self.compressed and self.encoding is None


def recognise(path: str | Path) -> TextFormat:
    """Detects a file's format from its beginning.

    Args:
        path: The file, or its URL.

    Raises:
        ComponentError: If it cannot be read, or is an archive or another file that is not text.
    """
    head, compressed = read_head(path)
    if kind := _foreign(head):
        inside = " inside a gzip file" if compressed else ""
        raise ComponentError(
            f"{path} is a {kind} file{inside}; plain text and gzip can be read. Unpack it, or leave it out with "
            "example_gen.pattern."
        )
    encoding = marked(head)
    if encoding is None and (problem := binary(head)):
        raise ComponentError(
            f"{path} {problem}: it is binary, or UTF-16 or UTF-32 without a byte-order mark. Convert it to UTF-8, or "
            "leave it out with example_gen.pattern."
        )
    return TextFormat(compressed, encoding)


def read_head(path: str | Path) -> tuple[bytes, bool]:
    """Reads the first `HEAD_BYTES` bytes of a file's text, unpacked.

    Args:
        path: The file, or its URL.

    Returns:
        The bytes, and whether the file is gzip.

    Raises:
        ComponentError: If the file cannot be read, or is damaged.
    """
    try:
        with _open(path) as file:
            head = file.read(HEAD_BYTES)
        if not head.startswith(_GZIP_MAGIC):
            return head, False
        with _open(path) as file, gzip.open(file, "rb") as text:
            return text.read(HEAD_BYTES), True
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error


def marked(head: bytes) -> str | None:
    """Returns "utf-16" or "utf-32" if the beginning of a file is such a byte-order mark, otherwise None.

    Args:
        head: The file's first bytes.
    """
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def binary(head: bytes) -> str | None:
    """Says what shows that the beginning of a file is not text, as a phrase for a message; None if it may be text.

    Args:
        head: The file's first bytes.
    """
    nuls, controls = head.count(0), len(head) - len(head.translate(None, _CONTROLS))
    # In most scripts half the bytes of UTF-16 are controls. In the others, line ends and spaces still have a NUL.
    if controls * 5 > len(head) or (nuls >= 16 and nuls * 100 > len(head)):
        return f"holds NUL bytes ({nuls:,} in its first {len(head):,} bytes)" if nuls else "holds control characters"
    return None


def _foreign(head: bytes) -> str | None:
    for prefix, kind in _FOREIGN_MAGIC.items():
        if head.startswith(prefix):
            return kind
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")  # its header has a checksum
        return "tar"
    except tarfile.HeaderError:
        return None


def read_lines(file: io.BufferedIOBase, path: str | Path, encoding: str | None, limit: int) -> Iterator[bytes]:
    """Reads lines with their line ends, as bytes of UTF-8 (or unchanged, if there is no `encoding`).

    Args:
        file: The opened text, at the beginning of a line.
        path: Its path, for messages.
        encoding: The `encoding` of its `TextFormat`.
        limit: Largest number of characters of a line; a longer line is returned in parts.

    Raises:
        ComponentError: If the file is damaged or cannot be read.
    """
    # Latin-1 keeps bytes unchanged: each byte becomes a character, and the same byte again.
    errors = "surrogatepass" if encoding else "strict"
    try:
        with io.TextIOWrapper(file, encoding or "latin-1", errors, newline="") as text:
            if encoding is None:
                while line := text.readline(limit):
                    yield line.encode("latin-1")
            else:
                while line := text.readline(limit):
                    yield line.encode("utf-8", "surrogatepass")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise damaged(path, error) from error
    except UnicodeDecodeError as error:
        raise ComponentError(
            f"{path} begins with the byte-order mark of {encoding} and cannot be decoded as such ({error.reason}); it "
            "may be cut short. Replace it or leave it out."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def open_text(path: str | Path, compressed: bool, start: int = 0) -> io.BufferedIOBase:
    """Opens a file's text at an offset.

    Args:
        path: The file, or its URL.
        compressed: Whether it is gzip.
        start: Offset in the unpacked text.

    Raises:
        ComponentError: If the file cannot be opened.
    """
    try:
        file = _open(path)
        if compressed:
            file = gzip.open(file, "rb")  # noqa: SIM115
        file.seek(start)
        return file
    except OSError as error:
        raise unreadable(path, error) from error


def _open(path: str | Path) -> BinaryIO:
    return remote_files.open_file(str(path)) if is_url(path) else open(path, "rb")  # noqa: SIM115


def damaged(path: str | Path, error: Exception) -> ComponentError:
    """Returns the error for a gzip file that cannot be unpacked.

    Args:
        path: The file.
        error: What unpacking it raised.
    """
    return ComponentError(f"{path}: the gzip file is damaged ({error}). Replace it or leave it out.")


def unreadable(path: str | Path, error: OSError) -> ComponentError:
    """Returns the error for a file that is gone or cannot be read.

    Args:
        path: The file.
        error: What opening or reading it raised.
    """
    if isinstance(error, FileNotFoundError):
        return ComponentError(f"{path} is gone: it was there when the run began. Put it back, then run again.")
    return ComponentError(f"{path} cannot be read: {error.strerror or error}.")
