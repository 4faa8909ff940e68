"""The little that all Beam components share: how a pipeline is run, and how the shards of Examples are read.

TensorFlow is imported in the executors, which import this module; a `component.py` never does.
"""

import contextlib
import json
import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf.message import DecodeError

from components.base import SPLITS, ComponentError

FRAME_BYTES = 16  # of a TFRecord, around its data: length, and two checksums
BATCH_BYTES = 1 << 20  # text that is tokenized at once: larger is no faster, smaller pays per operation
CLOSING_SECONDS = 10.0  # for a runner that may have lost its scheduler
ENGINES = ("distributed", "grpc")  # packages whose errors say that an engine or its workers were lost

_SHARD_NAME = re.compile(r"data_tfrecord-(\d{5})-of-(\d{5})")


@dataclass(frozen=True, order=True)
class ExamplesShard:
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


@contextlib.contextmanager
def pipeline(beam_args: Sequence[str]) -> Iterator[beam.Pipeline]:
    """Runs a Beam pipeline with the options of `beam.args` when its block ends.

    Raises:
        ComponentError: If Beam does not know the arguments, or a worker raised one.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)  # else the runner reports every stage
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)  # tracebacks of what it raises anyway
    try:
        root = beam.Pipeline(options=PipelineOptions(list(beam_args)))
    except (ValueError, SystemExit) as error:
        raise ComponentError(f"beam.args {list(beam_args)} cannot be used: {error}.") from error
    # Only now, since Dask sets its loggers' levels when it is imported: what it says of a loss is raised anyway.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        with root:
            yield root
        # Dask's runner takes what its scheduler never finished for done, so ask.
        lost = [future.status for future in getattr(root.result, "futures", ()) if future.status != "finished"]
        if lost:
            raise ComponentError(_lost(f"a task is {lost[0]}", beam_args))
    except Exception as error:
        # Runners raise a worker's error as one of their own, whose message ends with the worker's traceback.
        found = re.search(rf"{ComponentError.__name__}: ((?:.|\n)*?) \[while running", str(error))
        if found is not None:
            raise ComponentError(found[1]) from error
        if type(error).__module__.partition(".")[0] in ENGINES:
            raise ComponentError(_lost(f"{type(error).__name__}: {error}", beam_args)) from error
        raise
    finally:
        client = getattr(getattr(root, "result", None), "client", None)
        if client is not None:  # Dask's, which its runner leaves open
            client.close(timeout=CLOSING_SECONDS)


def _lost(found: str, beam_args: Sequence[str]) -> str:
    return (
        f"Beam's runner lost its scheduler or its workers ({found}). Check that those of beam.args {list(beam_args)} "
        "run and have memory enough, then start the same command again."
    )


@contextlib.contextmanager
def writing_aside(path: Path) -> Iterator[Path]:
    """A file of this attempt's own beside `path`, which takes its place once it is whole.

    Runners try an element again where a worker is lost, and may try it on two machines at once.
    """
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def keep(results: beam.PCollection, folder: Path) -> beam.PCollection:
    """Writes each result as a JSON file: elements are pairs of a name, the same at each attempt, and a result.

    What the driver, or the next pipeline, needs of the workers goes through such files, not through side inputs: some
    runners compute those again for each bundle. Read them by `kept` once the pipeline has ended.
    """
    return results | "Keep" >> beam.Map(_write_result, str(folder))


def _write_result(named: tuple[str, Any], folder: str) -> None:
    name, result = named
    with writing_aside(Path(folder) / f"{name}.result") as aside:
        aside.write_text(json.dumps(result))


def kept(folder: Path, expected: int) -> list[Any]:
    """The results that `keep` wrote, by name.

    Raises:
        RuntimeError: If there are not as many as `expected`: the runner did not run every element.
    """
    paths = sorted(Path(folder).glob("[!.]*.result"))
    if len(paths) != expected:
        raise RuntimeError(f"The Beam runner returned {len(paths)} results of {expected}.")
    return [json.loads(path.read_text()) for path in paths]


def list_shards(examples: Path, splits: Sequence[str] = SPLITS) -> list[ExamplesShard]:
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
            ExamplesShard(split, number, of, str(folder / name))
            for (number, of), name in zip(expected, names, strict=True)
        ]
    return shards


def read_shards(root: beam.Pipeline, shards: Sequence[ExamplesShard]) -> beam.PCollection:
    """Makes one element of each shard; the runner may work on them at once and in any order."""
    return root | "Shards" >> beam.Create(shards, reshuffle=True)


def read_batches(shard: ExamplesShard) -> Iterator[list[Example]]:
    """A shard's Examples in order, in batches of about `BATCH_BYTES` of text, one larger Example being one batch.

    Raises:
        ComponentError: If the shard is gone or damaged.
    """
    batch, size = [], 0
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
            found = place[0] if place else f"record {number + 1:,}: {str(error).splitlines()[0]}"
            raise ComponentError(f"{path} is damaged ({found}). Run ExampleGen again (--no-cache).") from error
        number, size = number + 1, size + FRAME_BYTES + len(record)
    if size != os.path.getsize(path):  # TensorFlow takes a few bytes, as of a record that was cut short, for the end
        raise ComponentError(
            f"{path} is damaged ({os.path.getsize(path) - size:,} bytes after record {number:,} that are none). Run "
            "ExampleGen again (--no-cache)."
        )


def _parse(record: bytes) -> Example:
    features: Mapping = tf.train.Example.FromString(record).features.feature
    return Example(
        document=features["document"].bytes_list.value[0],
        position=features["position"].int64_list.value[0],
        text=features["text"].bytes_list.value[0],
    )
