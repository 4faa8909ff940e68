"""Documents as runs of whole lines: the content of one `tf.train.Example` of the Examples artifact."""

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_TEXT_BYTES = 256 * 1024  # largest text of a run; a longer line is a run by itself


class LineRun(NamedTuple):
    """Consecutive whole lines of one document.

    Attributes:
        document: Name of the document.
        position: Index in the document of the first of the lines.
        lines: The lines with their line ends, as read; only a document's last line may have none.
    """

    document: str
    position: int
    lines: list[bytes]

    @property
    def text(self) -> bytes:
        """The lines as one text."""
        return b"".join(self.lines)


def split_lines(text: bytes) -> list[bytes]:
    """Cuts a text after each newline, carriage return, or both together; each line keeps its end.

    Args:
        text: The text.
    """
    return text.splitlines(keepends=True)


def file_runs(lines: Iterable[bytes], document: str, position: int = 0) -> Iterator[LineRun]:
    """Groups the lines of one document into runs of at most `MAX_TEXT_BYTES`.

    Args:
        lines: The lines, in order, with their line ends.
        document: Name of the document.
        position: Index in the document of the first of `lines`.

    Yields:
        The runs in order; none if there are no lines.
    """
    held: list[bytes] = []
    size = 0
    for line in lines:
        if held and size + len(line) > MAX_TEXT_BYTES:
            yield LineRun(document, position, held)
            position += len(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield LineRun(document, position, held)


def block_runs(lines: Iterable[bytes], file_name: str, line_number: int = 0) -> Iterator[LineRun]:
    """Cuts a file into blank-line-separated documents, named `file:line` (lines counted from 1, as in editors).

    No line is lost: blank lines belong to the block before them, those at the start of a file to its first block.

    Args:
        lines: Lines of the file, starting where a block begins.
        file_name: Name of the file.
        line_number: Index in the file of the first of `lines`.

    Yields:
        The runs of each block in order; `position` counts from the block's own first line.
    """
    keyed = _with_start_of_block(lines, line_number)
    for start, block in itertools.groupby(keyed, key=operator.itemgetter(0)):
        yield from file_runs((line for _, line in block), f"{file_name}:{start + 1}")


def _with_start_of_block(lines: Iterable[bytes], line_number: int) -> Iterator[tuple[int, bytes]]:
    start, seen_text, after_blank = line_number, False, False
    for number, line in enumerate(lines, line_number):
        blank = line.isspace()
        if not blank:
            if after_blank and seen_text:
                start = number
            seen_text = True
        after_blank = blank
        yield start, line
