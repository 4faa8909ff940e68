"""An output that appears whole or not at all, and that an interrupted command goes on with."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class OutputError(Exception):
    """The output cannot be written: the message says why and what to do."""


class ResumableOutput:
    """`<path>.part` while lines are added, `<path>` once they are all there.

    A line that a kill cut off is dropped; those before it are kept. What the lines were made from is written beside
    them, so that they are not gone on with for something else.

    Args:
        path: The file to write in the end.
        made_from: JSON-serialisable description of the inputs.

    Attributes:
        done: Lines that are there already.

    Raises:
        OutputError: If there is a finished or another command's file, or the folder cannot be written.
    """

    def __init__(self, path: Path, made_from: Any):
        self.path = path
        self._part = path.with_name(f"{path.name}.part")
        self._origin = path.with_name(f"{path.name}.part.json")
        if path.exists():
            raise OutputError(f"{path} exists already. Remove it, or name another file with --output.")
        try:
            if self._part.exists():
                self._check(made_from)
            else:
                self._origin.write_text(json.dumps(made_from, indent=1) + "\n", encoding="utf-8")
            self._file = self._part.open("a+b")
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
        self.done = self._keep_whole_lines()

    def _check(self, made_from: Any) -> None:
        try:
            before = json.loads(self._origin.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before != json.loads(json.dumps(made_from)):
            raise OutputError(
                f"{self._part} was begun with other files or another model (see {self._origin.name}). Remove both to "
                "begin anew, or name another file with --output."
            )

    def _keep_whole_lines(self) -> int:
        self._file.seek(0)
        lines = whole = 0
        for line in self._file:
            if line.endswith(b"\n"):
                lines, whole = lines + 1, whole + len(line)
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)
        return lines

    def append(self, lines: Iterable[str]) -> None:
        """Adds lines; they are on the disk when this returns."""
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Gives the file its name."""
        self._file.close()
        os.replace(self._part, self.path)
        self._origin.unlink()

    def forget(self) -> None:
        """Removes the description, where the file was written by another."""
        self._origin.unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves it as it is, to be gone on with."""
        self._file.close()
