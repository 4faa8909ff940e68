"""Checkpoints that are complete or absent, whenever the program is killed."""

import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from models import files


class Checkpoint:
    """Named snapshots in a folder, each one file that is renamed into place once it is on the disk.

    Args:
        folder: The folder of the snapshots, which is made if it is missing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, **values: Any) -> None:
        """Writes a snapshot in place of the old one of its name.

        Args:
            name: Name of the snapshot.
            **values: Arrays, lists of arrays, or what JSON can hold.

        Raises:
            OSError: If the file cannot be written; the old snapshot is then kept.
        """
        with files.writing(self._path(name)) as file:
            write(file, values)

    def load(self, name: str) -> dict[str, Any] | None:
        """Loads a snapshot. A damaged file is renamed, with a warning.

        Args:
            name: Name of the snapshot.

        Returns:
            The values by name, or None if there is no snapshot, or only a damaged one.

        Raises:
            PermissionError: If the file may not be read.
            MemoryError: If the values do not fit in memory.
        """
        path = self._path(name)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                return read(file)
        except (PermissionError, MemoryError):
            raise
        except Exception as error:  # zipfile and NumPy raise a dozen types for damaged bytes
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            logging.getLogger(__name__).warning(
                "The checkpoint %s is damaged (%s) and was renamed to %s: training starts without it.",
                path,
                type(error).__name__,
                aside.name,
            )
            return None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def write(file: BinaryIO, values: Mapping[str, Any]) -> None:
    """Writes the values of a snapshot to an open file.

    Args:
        file: Binary file to write to.
        values: Arrays, lists of arrays, or what JSON can hold, by name.
    """
    arrays, plain = {}, {}
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            arrays[key] = value
        elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            arrays.update({f"{key}/{i}": array for i, array in enumerate(value)})
        else:
            plain[key] = value
    np.savez(file, **arrays, **{"": np.array(json.dumps(plain))})


def read(file: BinaryIO) -> dict[str, Any]:
    """Reads the values that `write` wrote.

    Args:
        file: Binary file to read from, at its beginning.

    Returns:
        The values by name.

    Raises:
        zipfile.BadZipFile: If a checksum differs. Damaged files raise many other types of errors, too.
    """
    with zipfile.ZipFile(file) as archive:
        if archive.testzip():
            raise zipfile.BadZipFile("a checksum differs")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        values = json.loads(str(arrays[""]))
        for key in arrays.files:
            name, _, index = key.partition("/")
            if index:
                values.setdefault(name, []).append(arrays[key])
            elif name:
                values[name] = arrays[key]
    return values
