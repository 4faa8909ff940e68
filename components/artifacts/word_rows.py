"""Rows of words and their counts, a word, a tab and a number: of `counts.tsv`, `words.tsv` and files between workers.

A word is any bytes without a newline; it may hold a tab.
"""

from collections.abc import Iterable, Iterator

Count = tuple[bytes, int]  # a word and how often it occurs


def row(word: bytes, count: int) -> bytes:
    """A line, with its newline."""
    return b"%s\t%d\n" % (word, count)


def parse(lines: Iterable[bytes]) -> Iterator[Count]:
    """The counts of lines, with their newlines or without.

    Raises:
        ValueError: If a line does not end with a number.
    """
    for line in lines:
        word, _, count = line.rpartition(b"\t")
        yield word, int(count)


def rank(item: Count) -> tuple[int, bytes]:
    """The key that sorts by count (descending), then by bytes."""
    return -item[1], item[0]
