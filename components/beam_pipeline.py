"""The little that all Beam components share: how a pipeline is run, and how the shards of Examples are read.

TensorFlow is imported in the executors, which import this module; a `component.py` never does.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

from components.base import SPLITS, ComponentError

BATCH_BYTES = 1 << 20  # text that is tokenized at once: larger is no faster, smaller pays per operation

_SHARD_NAME = re.compile(r"data_tfrecord-(\d{5})-of-(\d{5})")


@dataclass(frozen=True, order=True)
class Shard:
    """One file of Examples: its split, its place in the split's order (from 0), the split's shards, its path."""

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
        text: The lines' bytes as found.
    """

    document: bytes
    position: int
    text: bytes


def pipeline(beam_args: Sequence[str]) -> beam.Pipeline:
    """A Beam pipeline with the options of `beam.args`, to be used as a context manager.

    Raises:
        ComponentError: If Beam does not know the arguments.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # the runner tells of every stage otherwise
    try:
        return beam.Pipeline(options=PipelineOptions(list(beam_args)))
    except (ValueError, SystemExit) as error:
        raise ComponentError(f"beam.args {list(beam_args)} cannot be used: {error}.") from error


def list_shards(examples: Path, splits: Sequence[str] = SPLITS) -> list[Shard]:
    """The shards of an Examples artifact, split by split, in the corpus's order.

    Raises:
        ComponentError: If a split has no shards or lacks one of those that its shards' names promise.
    """
    shards = []
    for split in splits:
        folder = examples / f"Split-{split}"
        names = sorted(path.name for path in folder.glob("data_tfrecord-*")) if folder.is_dir() else []
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
            Shard(split, number, of, str(folder / name)) for (number, of), name in zip(expected, names, strict=True)
        ]
    return shards


def read_shards(root: beam.Pipeline, shards: Sequence[Shard]) -> beam.PCollection:
    """Makes one element of each shard; the runner may work on them at once and in any order."""
    return root | "Shards" >> beam.Create(shards, reshuffle=True)


def read_batches(shard: Shard) -> Iterator[list[Example]]:
    """A shard's Examples in order, in batches of about `BATCH_BYTES` of text, one larger Example being one batch."""
    batch, size = [], 0
    for record in tf.data.TFRecordDataset(shard.path).as_numpy_iterator():
        example = _parse(record)
        if batch and size + len(example.text) > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(example)
        size += len(example.text)
    if batch:
        yield batch


def _parse(record: bytes) -> Example:
    features: Mapping = tf.train.Example.FromString(record).features.feature
    return Example(
        document=features["document"].bytes_list.value[0],
        position=features["position"].int64_list.value[0],
        text=features["text"].bytes_list.value[0],
    )
