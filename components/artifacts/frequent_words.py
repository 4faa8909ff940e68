"""The most frequent words of a split, a file that StatisticsGen writes: by shard first, then added up.

What is frequent in the corpus but not in a shard is counted a little too low; it serves to compare distributions.
"""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.artifacts import word_rows

WORDS_FILE = "words.tsv"
KEPT = 2000  # words of a shard, and of the split


def write(path: Path, counts: Mapping[bytes, int]) -> None:
    """Writes the `KEPT` most frequent words, a word and its count a line, the most frequent first."""
    ranked = sorted(counts.items(), key=word_rows.rank)[:KEPT]
    path.write_bytes(b"".join(word_rows.row(*item) for item in ranked))


def read(path: Path) -> dict[bytes, int]:
    """Word -> count."""
    return dict(word_rows.parse(path.read_bytes().split(b"\n")[:-1]))


def add(paths: Iterable[Path]) -> collections.Counter[bytes]:
    """Adds up the counts of several files."""
    total: collections.Counter[bytes] = collections.Counter()
    for path in paths:
        total.update(read(path))
    return total
