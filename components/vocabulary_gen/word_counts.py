"""Exact counts of words that need not fit in memory: by shard first, then in buckets of words.

Each shard's counts are one file, sorted by bucket. A worker adds up one bucket over all shards and ranks its words. A
merge of the ranked buckets gives all words, the most frequent first.
"""

import heapq
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from components import beam_pipeline
from components.artifacts import word_rows
from models.text.tokenizer import EOS, UNK

BYTES_A_BUCKET = 1 << 24  # bytes of text; in the worst case two million words that occur once each
MAX_BUCKETS = 512  # number of files that `merged` has open at once
RESERVED = (UNK.encode(), EOS.encode())


class BucketFigures(TypedDict):
    """The number of occurrences of all words of a bucket, and of `RESERVED`, which are in none of the ranked files."""

    tokens: int
    reserved: list[int]


def number_of_buckets(text_bytes: int) -> int:
    """Returns the number of buckets for a text of `text_bytes` bytes.

    Args:
        text_bytes: Size of the text in bytes.
    """
    return max(1, min(MAX_BUCKETS, text_bytes // BYTES_A_BUCKET))


def bucket_of(word: bytes, buckets: int) -> int:
    """Returns the bucket of a word, which is the same in every process.

    Args:
        word: The word.
        buckets: Number of buckets.
    """
    return zlib.crc32(word) % buckets


def write_shard(path: Path, counts: Mapping[bytes, int], buckets: int) -> None:
    """Writes a shard's counts: a line with the size of each bucket in bytes as JSON, then the buckets.

    Args:
        path: The file.
        counts: Word -> count.
        buckets: Number of buckets.
    """
    rows: list[list[bytes]] = [[] for _ in range(buckets)]
    for word, count in counts.items():
        rows[bucket_of(word, buckets)].append(word_rows.row(word, count))
    parts = [b"".join(part) for part in rows]
    with beam_pipeline.writing_aside(path) as aside, aside.open("wb") as file:
        file.write(json.dumps([len(part) for part in parts]).encode() + b"\n")
        file.writelines(parts)


def add_bucket(bucket: int, shards: Sequence[Path], ranked: Path) -> BucketFigures:
    """Adds up a bucket of all shards, and writes its words except `RESERVED`, the most frequent first.

    Args:
        bucket: The bucket.
        shards: The files that `write_shard` wrote.
        ranked: The file to write.

    Returns:
        The bucket's figures.
    """
    total: Counter[bytes] = Counter()
    for path in shards:
        with path.open("rb") as file:
            sizes = json.loads(file.readline())
            file.seek(sum(sizes[:bucket]), 1)
            for word, count in word_rows.parse(file.read(sizes[bucket]).split(b"\n")[:-1]):
                total[word] += count
    tokens, reserved = sum(total.values()), [total.pop(word, 0) for word in RESERVED]
    with beam_pipeline.writing_aside(ranked) as aside, aside.open("wb") as file:
        file.writelines(word_rows.row(*item) for item in sorted(total.items(), key=word_rows.rank))
    return {"tokens": tokens, "reserved": reserved}


def merged(ranked: Sequence[Path]) -> Iterator[word_rows.Count]:
    """Merges all ranked files without loading them.

    Args:
        ranked: The files that `add_bucket` wrote.

    Yields:
        Words with their counts, by count (descending), then by bytes.
    """
    return heapq.merge(*map(_stream, ranked), key=word_rows.rank)


def _stream(path: Path) -> Iterator[word_rows.Count]:
    with path.open("rb") as file:
        yield from word_rows.parse(file)
