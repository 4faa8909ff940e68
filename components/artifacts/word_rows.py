"""Rows of a word, a tab and a count: the lines of `counts.tsv`, of `words.tsv` and of files between workers.

A word is any bytes without a newline; it may contain a tab.
"""

from collections.abc import Iterable, Iterator

Count = tuple[bytes, int]  # a word and how often it occurs


def row(word: bytes, count: int) -> bytes:
    """Returns the line of a word and its count, with the newline.

    Args:
        word: The word, without a newline.
        count: How often it occurs.
    """
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
    """Returns the key that sorts by count (descending), then by bytes.

    Args:
        item: A word and its count.
    """
    return -item[1], item[0]
