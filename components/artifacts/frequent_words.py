"""The most frequent words of a split, a file that StatisticsGen writes.

They are counted by shard first, then added up. A word that is frequent in the corpus but not in a shard is counted a
little too low. The counts serve to compare distributions.
"""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.artifacts import word_rows
from components.base import ComponentError

WORDS_FILE = "words.tsv"
KEPT_WORDS = 2000  # words that are written for a shard, and for the split


def write(path: Path, counts: Mapping[bytes, int]) -> None:
    """Writes the `KEPT_WORDS` most frequent words, one word and its count a line, the most frequent first.

    Args:
        path: The file.
        counts: Word -> count.
    """
    ranked = sorted(counts.items(), key=word_rows.rank)[:KEPT_WORDS]
    path.write_bytes(b"".join(word_rows.row(*item) for item in ranked))


def read(path: Path) -> dict[bytes, int]:
    """Reads a file of words as a dict of word -> count.

    Args:
        path: The file.

    Raises:
        ComponentError: If the file is missing or damaged.
    """
    try:
        return dict(word_rows.parse(path.read_bytes().split(b"\n")[:-1]))
    except (OSError, ValueError) as error:
        raise ComponentError(f"{path} cannot be read ({error}). Run StatisticsGen again (--no-cache).") from error


def add(paths: Iterable[Path]) -> collections.Counter[bytes]:
    """Adds up the counts of several files.

    Args:
        paths: Files that `write` wrote.
    """
    total: collections.Counter[bytes] = collections.Counter()
    for path in paths:
        total.update(read(path))
    return total
