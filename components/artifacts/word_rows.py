"""Rows of a word, a tab and a count: the lines of `counts.tsv`, of `words.tsv` and of files between workers.

A word is any bytes without a newline; it may contain a tab.
"""

from collections.abc import Iterable, Iterator

Count = tuple[bytes, int]  # a word and how often it occurs


def row(word: bytes, count: int) -> bytes:
    """Returns the line of a word and its count, with the newline."""
    return b"%s\t%d\n" % (word, count)


def parse(lines: Iterable[bytes]) -> Iterator[Count]:
    """Yields the word and the count of each line.

    Args:
        lines: Lines, with or without their newlines.

    Raises:
        ValueError: If a line does not end with a number.
    """
    for line in lines:
        word, _, count = line.rpartition(b"\t")
        yield word, int(count)


def rank(item: Count) -> tuple[int, bytes]:
    """Returns the key that sorts by count (descending), then by bytes."""
    return -item[1], item[0]
