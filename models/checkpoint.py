"""Checkpoints that are whole or absent, whenever the program is killed."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np


class Checkpoint:
    """Named snapshots in a folder, each one file that a rename puts in place once it is on the disk.

    Args:
        folder: Where; made where it is missing.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, **values: Any) -> None:
        """Replaces the snapshot `name` by `values`: arrays, lists of arrays, or what JSON can say."""
        arrays, plain = {}, {}
        for key, value in values.items():
            if isinstance(value, np.ndarray):
                arrays[key] = value
            elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                arrays.update({f"{key}/{i}": array for i, array in enumerate(value)})
            else:
                plain[key] = value
        temporary = self.folder / f".{name}.npz"
        with temporary.open("wb") as file:
            np.savez(file, **arrays, **{"": np.array(json.dumps(plain))})
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / f"{name}.npz")

    def load(self, name: str) -> dict[str, Any] | None:
        """The values of the snapshot `name`, or None where there is none."""
        path = self.folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path) as file:
            values = json.loads(str(file[""]))
            for key in file.files:
                name, _, index = key.partition("/")
                if index:
                    values.setdefault(name, []).append(file[key])
                elif name:
                    values[name] = file[key]
        return values
