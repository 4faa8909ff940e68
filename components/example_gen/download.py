"""Downloads a corpus's archive from an address that the configuration names."""

import hashlib
import http.client
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from components.base import ComponentError

_TIMEOUT_SECONDS = 30
_READ_BYTES = 1024 * 1024


def fetch(url: str, sha256: str, folder: Path) -> Path:
    """Downloads an archive (zip, tar, tar.gz, ...) or a single file, checks its checksum and unpacks it.

    Args:
        url: Address of the archive.
        sha256: Its SHA-256 in hexadecimal.
        folder: An existing folder for the files.

    Returns:
        A folder with the archive's files.

    Raises:
        ComponentError: If the address cannot be reached, the checksum differs, or the archive is damaged.
    """
    archive = folder / (Path(urlsplit(url).path).name or "download")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, open(archive, "wb") as file:
            while block := response.read(_READ_BYTES):
                digest.update(block)
                file.write(block)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise ComponentError(
            f"example_gen.source_url: {url} cannot be reached ({reason}). Download the files by other means and "
            "name their folder with example_gen.data_dir."
        ) from error
    if digest.hexdigest() != sha256.lower():
        raise ComponentError(
            f"example_gen.source_sha256: the file at {url} has the SHA-256 {digest.hexdigest()}, not {sha256}. "
            "Check the address; set the new checksum only if you trust the file."
        )
    return _unpack(archive, folder / "unpacked", url)


def _unpack(archive: Path, target: Path, url: str) -> Path:
    target.mkdir()
    endings = [ending for _, all_endings, _ in shutil.get_unpack_formats() for ending in all_endings]
    if not archive.name.endswith(tuple(endings)):
        archive.rename(target / archive.name)
        return target
    try:
        # The filter "data" refuses members outside of the folder (zip files are always treated like this). Python
        # before 3.11.4 does not have it; the checksum alone protects there.
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") and ".zip" not in archive.name else {}
        shutil.unpack_archive(archive, target, **options)
    except (shutil.ReadError, tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise ComponentError(
            f"example_gen.source_url: the archive at {url} cannot be unpacked ({error}). Check that this is the "
            "address of an archive."
        ) from error
    archive.unlink()
    return target
