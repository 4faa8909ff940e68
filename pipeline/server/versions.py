"""The versions that are served: the newest ones of a folder, each loaded before use and kept while requests use it."""

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.serving import saved_model
from pipeline.server.errors import RequestError

MAX_ENDED = 10  # versions that are no longer served or no longer there, but whose state is still reported
RETRY_SECONDS = 60.0  # until a version that could not be loaded is tried again, though its files are the same


@dataclass
class _Entry:
    """A version's state in TensorFlow Serving's terms, and its model while it is loaded."""

    version: int
    state: str = "LOADING"
    error: str = ""
    fingerprint: tuple = ()
    failed: float = 0.0  # when it could not be loaded, by the clock of `time.monotonic`
    model: Any = None
    requests: int = 0

    def status(self) -> dict[str, Any]:
        """Returns the state in the form of TensorFlow Serving's REST API."""
        code = "UNKNOWN" if self.error else "OK"
        return {
            "version": str(self.version),
            "state": self.state,
            "status": {"error_code": code, "error_message": self.error},
        }


class Versions:
    """Keeps the newest versions of a folder loaded.

    Args:
        folder: Folder of the versions (`<folder>/<integer>/saved_model.pb`), or the folder of a single version.
        number: How many of the newest versions to serve.
        load: Loads a model from a version's path and number; raises if it cannot.
        name: The model's name in messages.
    """

    def __init__(self, folder: Path, number: int, load: Callable[[Path, int], Any], name: str):
        self.folder = folder
        self._number = number
        self._load = load
        self._name = name
        self._entries: dict[int, _Entry] = {}
        self._lock = threading.Lock()  # of the entries' states and requests

    def found(self) -> dict[int, Path]:
        """Returns the versions on the disk, oldest first."""
        if saved_model.is_saved_model(self.folder):
            return {int(self.folder.name) if self.folder.name.isdecimal() else 1: self.folder}
        try:
            return saved_model.versions(self.folder)
        except OSError:  # the folder is missing for now; loaded versions stay
            return {}

    def refresh(self) -> None:
        """Loads the newest versions that can be loaded and releases the others. Call it from one thread at a time.

        Versions whose folders are gone are kept only until another one is loaded: the last working model is served
        whatever happens to the folder.
        """
        found, before = self.found(), self.available()
        served: list[int] = []  # of those on the disk
        for version in reversed(found):  # the newest first, as most requests use it
            if len(served) == self._number:
                break
            if version in before or self._try_to_load(version, found[version]):
                served.append(version)
        available = self.available()
        with self._lock:
            for version in set(available) - set(served or available):
                self._entries[version].state = "UNLOADING"
        if self._end_unused(found) or set(available) - set(before):
            _exclude_from_collection()

    def _try_to_load(self, version: int, path: Path) -> bool:
        """Loads a version, unless requests still use it after it was released, or it could not be loaded just now.

        Returns:
            Whether it is loaded.
        """
        entry, fingerprint, start = self._entries.get(version), _fingerprint(path), time.monotonic()
        if entry and entry.state == "UNLOADING":
            return False
        if entry and entry.error and entry.fingerprint == fingerprint and start - entry.failed < RETRY_SECONDS:
            return False
        entry = self._entries[version] = _Entry(version, fingerprint=fingerprint)
        try:
            entry.model = self._load(path, version)
        except Exception as error:  # TensorFlow raises many kinds
            # The reason may name files of this machine, which clients must not see.
            entry.state, entry.error = "END", "It cannot be loaded; the server's log says why."
            entry.failed = time.monotonic()
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            logging.error("Version %d cannot be served: %s", version, reason)
            return False
        entry.state = "AVAILABLE"
        logging.info("Version %d is served (loaded in %.1f s).", version, time.monotonic() - start)
        return True

    def available(self) -> list[int]:
        """Returns the versions that answer requests, newest first."""
        entries = list(self._entries.values())
        return sorted((entry.version for entry in entries if entry.state == "AVAILABLE"), reverse=True)

    @contextlib.contextmanager
    def use(self, version: int | None = None) -> Iterator[Any]:
        """Keeps a version loaded while the context lasts.

        Args:
            version: The version's number; None for the newest.

        Yields:
            The version's model.

        Raises:
            RequestError: If the version is not served (404).
        """
        with self._lock:
            available = self.available()
            if not available or (version is not None and version not in available):
                wanted = f"Latest({self._name})" if version is None else f"Specific({self._name}, {version})"
                raise RequestError(404, f"Servable not found for request: {wanted}")
            entry = self._entries[available[0] if version is None else version]
            entry.requests += 1
        try:
            yield entry.model
        finally:
            with self._lock:
                entry.requests -= 1

    def statuses(self, version: int | None = None) -> list[dict[str, Any]]:
        """Returns the state of each version, newest first, in TensorFlow Serving's form.

        Args:
            version: The only version to include; None for all.

        Raises:
            RequestError: If there is no such version (404).
        """
        entries = [entry for entry in self._entries.values() if version in (None, entry.version)]
        if not entries:
            what = f"versions of model {self._name}" if version is None else f"version {version} of model {self._name}"
            raise RequestError(404, f"Could not find any {what}" if version is None else f"Could not find {what}")
        return [entry.status() for entry in sorted(entries, key=lambda entry: -entry.version)]

    def _end_unused(self, found: Container[int]) -> bool:
        """Frees the models of versions that are being unloaded once their last request is answered.

        Args:
            found: The versions on the disk. Those of them that cannot be loaded are remembered, however many they are,
                so that they are not tried again at every look.

        Returns:
            Whether there were any.
        """
        freed = False
        for entry in list(self._entries.values()):
            with self._lock:
                unused = entry.state == "UNLOADING" and not entry.requests  # and it will get no more
            if unused:
                entry.model.close()
                entry.state, entry.model, freed = "END", None, True
                logging.info("Version %d is no longer served.", entry.version)
        ended = sorted(
            version
            for version, entry in self._entries.items()
            if entry.state == "END" and not (entry.error and version in found)
        )
        self._entries = {
            version: entry for version, entry in self._entries.items() if version not in ended[:-MAX_ENDED]
        }
        return freed


def _exclude_from_collection() -> None:
    """Frees what is no longer used, and excludes all that is left from Python's garbage collection.

    Without it, each collection looks at every object of TensorFlow and of the loaded models, and all requests wait:
    0.2 s every second or two with 64 connections (AMD Zen 5). The functions of a SavedModel refer to each other, so a
    version that is no longer served is only freed here.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _fingerprint(path: Path) -> tuple:
    """Identifies a version's files, so that a version that is still being copied is retried when they change."""
    files = []
    for file in sorted(path.rglob("*")):
        with contextlib.suppress(OSError):
            stat = file.stat()
            files.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(files)
