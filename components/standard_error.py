"""Keeps messages from stopping the work that they are about, and from changing its exit code."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class Messages:
    """A text stream that drops what cannot be written: its reader has left, its disk is full, its terminal is gone.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text, if that can be done.

        Args:
            text: The text.

        Returns:
            The text's length.
        """
        try:
            self._stream.write(text)
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered, if that can be done."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        """Empties the stream's buffer.

        Otherwise, Python would try to write it again when it ends, and would then exit with 120; or it would be written
        to another file that has the descriptor by then.
        """
        with contextlib.suppress(OSError):
            descriptor = self._stream.fileno()
            own = os.dup(descriptor)
            try:
                open_nowhere(descriptor)
                self._stream.flush()
            finally:
                os.dup2(own, descriptor)
                os.close(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def for_messages() -> Iterator[None]:
    """Lets this process write to standard error whatever becomes of it, and child processes even if it is closed.

    As a decorator, it does so for a function.
    """
    if sys.stderr is None:  # whoever started the command has closed it
        open_nowhere(2)
        sys.stderr = os.fdopen(2, "w", closefd=False)
    before = sys.stderr
    sys.stderr = Messages(before)
    try:
        yield
    finally:
        sys.stderr = before


def open_nowhere(descriptor: int) -> None:
    """Points a descriptor to nowhere; a closed one is opened, so that no other file gets its number.

    Args:
        descriptor: 1 for standard output, 2 for standard error.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere == descriptor:
        os.set_inheritable(descriptor, True)  # as `dup2` makes it
    else:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
