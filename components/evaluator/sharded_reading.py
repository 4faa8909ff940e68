"""Reads long token streams with several Beam workers, to the same figures as one process.

What a model says of a token depends on all tokens before it. So the driver first reads ahead with the recurrent layers
alone and notes the state at the start of each shard; the workers go on from there and compute the probabilities, which
is what takes long. Their windows are the very ones that one process would read.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np

from components import beam_pipeline
from components.evaluator import exported_model
from components.evaluator.exported_model import ExportedModel, Window
from models.text.token_stream import TokenStream

# Words' probabilities that one worker computes of each stream before a further one is worth its start: about a minute's
# work of two cores. It is a million tokens with a vocabulary of 10,000 words, and 100,000 tokens with one of 100,000.
# With fewer words, reading ahead is a larger share of all: half of it at 10,000 words and a twentieth at 100,000.
SHARD_PROBABILITIES = 10**10
_WINDOW = [field.name for field in dataclasses.fields(Window)]  # `start` comes first


@dataclass(frozen=True)
class TokenRange:
    """The tokens [start, stop) of each stream, and the state at `start`: float32 [streams, layers, 2, units]."""

    start: int
    stop: int
    state: np.ndarray


def windows(
    model: ExportedModel, streams: Sequence[TokenStream], beam_args: Sequence[str], workspace: Path
) -> Iterator[tuple[int, Window]]:
    """What `model.windows` yields, in the same order, computed by Beam workers where a stream is long.

    Args:
        model: The model that reads.
        streams: What it reads.
        beam_args: Options of the Beam runner.
        workspace: A folder that the workers see, too.
    """
    window = exported_model.WINDOW
    size = max(1, SHARD_PROBABILITIES // len(model.words) // window) * window
    if max(map(len, streams)) <= size:
        yield from model.windows(streams)
        return
    shards = [TokenRange(start, start + size, state) for start, state in model.states(streams, size)]
    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        with beam_pipeline.pipeline(beam_args) as root:
            read = ReadShard(str(model.path), [str(stream.split_dir) for stream in streams], folder)
            _ = root | "Shards" >> beam.Create(shards, reshuffle=True) | "Read" >> beam.ParDo(read)
        for shard in shards:
            yield from _read(_file_of(folder, shard))


class ReadShard(beam.DoFn):
    """Writes the windows of one shard.

    Args:
        model: Folder of the SavedModel.
        streams: Folders of the token streams.
        folder: Where to write.
    """

    def __init__(self, model: str, streams: Sequence[str], folder: str):
        self._paths = model, streams
        self._folder = folder

    def setup(self) -> None:
        model, streams = self._paths
        self._model = ExportedModel(Path(model))
        self._streams = [TokenStream(stream) for stream in streams]

    def process(self, shard: TokenRange) -> None:
        found = list(self._model.windows(self._streams, shard.start, shard.stop, shard.state))
        with beam_pipeline.writing_aside(_file_of(self._folder, shard)) as aside:
            _write(aside, found)


def _file_of(folder: str, shard: TokenRange) -> Path:
    return Path(folder) / f"{shard.start:012d}"


def _write(path: Path, found: Sequence[tuple[int, Window]]) -> None:
    """Writes windows, and which stream each is of, as plain arrays."""
    arrays = {"stream": np.array([stream for stream, _ in found])}
    for name in _WINDOW:
        arrays |= {f"{name} {place}": np.asarray(getattr(window, name)) for place, (_, window) in enumerate(found)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read(path: Path) -> Iterator[tuple[int, Window]]:
    with np.load(path, allow_pickle=False) as arrays:
        for place, stream in enumerate(arrays["stream"].tolist()):
            start, *rest = (arrays[f"{name} {place}"] for name in _WINDOW)
            yield stream, Window(int(start), *rest)
