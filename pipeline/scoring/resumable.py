"""An output file that appears complete or not at all, and that an interrupted command can resume.

It grows over several commands, so `models.files.writing`, which starts from an empty file, cannot write it.
"""

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from models import files


class OutputError(Exception):
    """The output cannot be written: the message says why and what to do."""


class ResumableOutput:
    """Writes lines to `<path>.part`, which becomes `<path>` once all lines are there.

    A line that a kill cut off is dropped; the lines before it are kept. A description of what the lines were made from
    is written beside them, so that they are not resumed for other inputs. One process at a time can write the file.

    Args:
        path: The file to write in the end.
        made_from: JSON-serialisable description of the inputs, a dictionary.

    Attributes:
        done: Number of lines that exist already.

    Raises:
        OutputError: If the file exists, its part belongs to another command, another process is writing it, or the
            folder cannot be written.
    """

    def __init__(self, path: Path, made_from: dict[str, Any]):
        self.path = path
        self._part = path.with_name(f"{path.name}.part")
        self._origin = path.with_name(f"{path.name}.part.json")
        self._refuse_finished()
        try:
            existed = self._part.exists()
            self._file = self._open_alone()
            # A kill may come before the description is written; there is no line yet then.
            begun = os.fstat(self._file.fileno()).st_size > 0 or (existed and self._origin.exists())
            try:
                self._refuse_finished()  # another process may have finished before this one had the lock
                if begun:
                    self._check(made_from)
                self.done = self._keep_whole_lines()
                described = json.dumps(made_from | {"process": os.getpid()}, indent=1)
                files.write_text(self._origin, described + "\n")
            except BaseException:
                if not begun:
                    self._part.unlink()
                self._file.close()
                raise
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from error

    def _refuse_finished(self) -> None:
        if self.path.exists():
            raise OutputError(f"{self.path} exists already. Remove it, or name another file with --output.")

    def _open_alone(self) -> BinaryIO:
        """Opens the part and locks it; the kernel releases the lock however the process ends."""
        while True:
            file = self._part.open("a+b")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise OutputError(
                    f"{self.path} is being written by another command (process {self._described().get('process')}). "
                    "Wait for it to end, or name another file with --output."
                ) from None
            if self._part.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(self._part)):
                return file
            file.close()  # another process has renamed it meanwhile

    def _described(self) -> dict[str, Any]:
        try:
            described = json.loads(self._origin.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return described if isinstance(described, dict) else {}

    def _check(self, made_from: dict[str, Any]) -> None:
        before = self._described()
        before.pop("process", None)
        if before != json.loads(json.dumps(made_from)):
            raise OutputError(
                f"{self._part} was begun with other files or another model (see {self._origin.name}). Remove both to "
                "start again, or name another file with --output."
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
        """Adds lines; they are on the disk when this returns.

        Args:
            lines: Lines without newlines.
        """
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Renames the part to the file, before another process can lock it."""
        os.replace(self._part, self.path)
        self._origin.unlink()
        files.sync(self.path.parent)
        self._file.close()

    def forget(self) -> None:
        """Removes the description, after something else has written the file."""
        self._origin.unlink(missing_ok=True)

    def discard_if_empty(self) -> None:
        """Removes the part and its description if it has no line."""
        if os.fstat(self._file.fileno()).st_size == 0:
            self._origin.unlink(missing_ok=True)
            self._part.unlink()

    def close(self) -> None:
        """Closes the part, which can be resumed later."""
        self._file.close()
