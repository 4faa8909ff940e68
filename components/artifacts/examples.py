"""Examples: `Split-<split>/data_tfrecord-00000-of-00012`, each record a run of consecutive whole lines of one document.

A record is a `tf.train.Example` with the features `document` (bytes), `position` (int64: the index in the document of
the first line) and `text` (bytes).
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from components.artifacts.splits import SPLITS, split_dir
from components.base import ComponentError

FRAME_BYTES = 16  # a TFRecord adds a length and two checksums to its data
BATCH_BYTES = 1 << 20  # text that is tokenized at once: larger is no faster, smaller costs more operations

_SHARD_NAME = re.compile(r"data_tfrecord-(\d{5,})-of-(\d{5,})")


@dataclass(frozen=True, order=True)
class ExamplesShard:
    """One file of Examples.

    Attributes:
        split: The split.
        number: The shard's position in the split, from 0.
        of: Number of shards of the split.
        path: The file.
    """

    split: str
    number: int
    of: int
    path: str


@dataclass(frozen=True)
class Example:
    """A run of consecutive whole lines of one document.

    Attributes:
        document: Name of the document.
        position: Index of the first line in the document.
        text: The bytes of the lines, as they were read.
    """

    document: bytes
    position: int
    text: bytes


def shard_name(number: int, of: int) -> str:
    """Returns the file name of shard `number` (from 0) of a split that has `of` shards.

    Args:
        number: The shard's number, from 0.
        of: Number of shards of the split.
    """
    return f"data_tfrecord-{number:05d}-of-{of:05d}"


def serialize(example: Example) -> bytes:
    """Serializes an Example as a record. The same Example gives the same bytes in every process.

    Args:
        example: The Example.
    """
    # The order of a protobuf map's keys differs between processes, and caches compare contents.
    feature = tf.train.Feature
    features = {
        "document": feature(bytes_list=tf.train.BytesList(value=[example.document])),
        "position": feature(int64_list=tf.train.Int64List(value=[example.position])),
        "text": feature(bytes_list=tf.train.BytesList(value=[example.text])),
    }
    record: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
    return record


def list_shards(examples: Path, splits: Sequence[str] = SPLITS) -> list[ExamplesShard]:
    """Lists the shards of an Examples artifact, split by split, in the corpus's order.

    Args:
        examples: The artifact's folder.
        splits: The splits to list; all three by default.

    Raises:
        ComponentError: If a split has no shards, or its files are not exactly those that the shards' names promise.
    """
    shards = []
    for split in splits:
        folder = split_dir(examples, split)
        names = sorted((path.name for path in folder.glob("data_tfrecord-*")), key=_by_number)
        matches = [match for match in map(_SHARD_NAME.fullmatch, names) if match]
        expected = [(number, len(names)) for number in range(len(names))]
        if not names:
            raise ComponentError(f"{folder} has no shards (data_tfrecord-*). Run ExampleGen again (--no-cache).")
        if [tuple(map(int, match.groups())) for match in matches] != expected:
            raise ComponentError(
                f"{folder} should have the shards data_tfrecord-00000-of-{len(names):05d} and so on, and has "
                f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''}. Run ExampleGen again (--no-cache)."
            )
        shards += [
            ExamplesShard(split, number, of, str(folder / name))
            for (number, of), name in zip(expected, names, strict=True)
        ]
    return shards


def _by_number(name: str) -> tuple[int, str]:
    """Returns the key that sorts shards by number; from 100,000 on their names have more digits."""
    match = _SHARD_NAME.fullmatch(name)
    return int(match[1]) if match else 0, name


def read_batches(shard: ExamplesShard) -> Iterator[list[Example]]:
    """Reads a shard's Examples in order, in batches of about `BATCH_BYTES` of text.

    Args:
        shard: The shard.

    Yields:
        Batches. An Example larger than `BATCH_BYTES` is a batch by itself.

    Raises:
        ComponentError: If the shard is missing or damaged.
    """
    batch: list[Example] = []
    size = 0
    for example in _read_examples(shard.path):
        if batch and size + len(example.text) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(example)
        size += len(example.text)
    if batch:
        yield batch


def _read_examples(path: str) -> Iterator[Example]:
    records = tf.data.TFRecordDataset(path).as_numpy_iterator()
    number = size = 0
    while True:
        try:
            record = next(records, None)
            if record is None:
                break
            yield _parse(record)
        except (tf.errors.DataLossError, tf.errors.NotFoundError, DecodeError, IndexError) as error:
            place = re.search(r"(?:corrupted|truncated) record at \d+", str(error))
            reason = place[0] if place else f"record {number + 1:,}: {str(error).splitlines()[0]}"
            raise ComponentError(f"{path} is damaged ({reason}). Run ExampleGen again (--no-cache).") from error
        number, size = number + 1, size + FRAME_BYTES + len(record)
    if size != os.path.getsize(path):  # TensorFlow ignores the first few bytes of a record that was cut short
        raise ComponentError(
            f"{path} is damaged (found {os.path.getsize(path) - size:,} bytes after record {number:,} that are not a "
            "record). Run ExampleGen again (--no-cache)."
        )


def _parse(record: bytes) -> Example:
    features: Mapping[str, Any] = tf.train.Example.FromString(record).features.feature
    return Example(
        document=features["document"].bytes_list.value[0],
        position=features["position"].int64_list.value[0],
        text=features["text"].bytes_list.value[0],
    )
