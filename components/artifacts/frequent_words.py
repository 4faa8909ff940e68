"""The most frequent words of a split, a file that StatisticsGen writes: by shard first, then added up.

What is frequent in the corpus but not in a shard is counted a little too low; it serves to compare distributions.
"""

import collections
from collections.abc import Iterable, Mapping
from pathlib import Path

WORDS_FILE = "words.tsv"
KEPT = 2000  # words of a shard, and of the split


def write(path: Path, counts: Mapping[bytes, int]) -> None:
    """Writes the `KEPT` most frequent words, a word and its count a line, the most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:KEPT]
    path.write_bytes(b"".join(b"%s\t%d\n" % item for item in ranked))


def read(path: Path) -> dict[bytes, int]:
    """Word -> count."""
    rows = (line.rpartition(b"\t") for line in path.read_bytes().split(b"\n")[:-1])
    return {word: int(count) for word, _, count in rows}


def add(paths: Iterable[Path]) -> collections.Counter[bytes]:
    """Adds up the counts of several files."""
    total: collections.Counter[bytes] = collections.Counter()
    for path in paths:
        total.update(read(path))
    return total
