"""Reads long token streams with several Beam workers, with the same figures as one process.

A model's prediction of a token depends on all tokens before it. So the driver first reads ahead with the recurrent
layers alone and stores the state at the start of each shard. The workers start from these states and compute the
probabilities, which takes most of the time. Their windows are exactly those that one process would read.
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

# Number of word probabilities of each stream that make a shard: about a minute's work on two cores, so that starting
# one more worker pays off. It is a million tokens with a vocabulary of 10,000 words, and 100,000 tokens with 100,000.
# Reading ahead takes half of the total time at 10,000 words and a twentieth at 100,000.
SHARD_PROBABILITIES = 10**10
_WINDOW = [field.name for field in dataclasses.fields(Window)]  # `start` comes first


@dataclass(frozen=True)
class TokenRange:
    """The part of each stream that one worker reads.

    Attributes:
        start: Offset of the first token.
        stop: Offset behind the last token.
        state: float32 [streams, layers, 2, units], the state at `start`.
    """

    start: int
    stop: int
    state: np.ndarray


def windows(
    model: ExportedModel, streams: Sequence[TokenStream], beam_args: Sequence[str], workspace: Path
) -> Iterator[tuple[int, Window]]:
    """Yields what `model.windows` yields, in the same order; Beam workers compute it if a stream is long.

    Args:
        model: The model that reads.
        streams: The token streams.
        beam_args: Options of Apache Beam.
        workspace: A folder that the workers can also access.

    Yields:
        The stream's index in `streams`, and its next window.

    Raises:
        ComponentError: If Beam rejects the options or loses its workers.
    """
    window = exported_model.WINDOW
    size = max(1, SHARD_PROBABILITIES // len(model.words) // window) * window
    if max(map(len, streams)) <= size:
        yield from model.windows(streams)
        return
    shards = [TokenRange(start, start + size, state) for start, state in model.states(streams, size)]
    with tempfile.TemporaryDirectory(dir=workspace) as folder:
        with beam_pipeline.open_pipeline(beam_args) as root:
            read = ReadShard(str(model.path), [str(stream.split_dir) for stream in streams], folder)
            _ = root | "Shards" >> beam.Create(shards, reshuffle=True) | "Read" >> beam.ParDo(read)
        for shard in shards:
            yield from _read(file_of(folder, shard))


class ReadShard(beam.DoFn):
    """Writes the windows of one shard.

    Args:
        model: Folder of the SavedModel.
        streams: Folders of the token streams.
        folder: Folder for the windows.
    """

    def __init__(self, model: str, streams: Sequence[str], folder: str):
        self._paths = model, streams
        self._folder = folder

    def setup(self) -> None:
        """Loads the model and opens the streams, once for each worker."""
        model, streams = self._paths
        self._model = ExportedModel(Path(model))
        self._streams = [TokenStream(stream) for stream in streams]

    def process(self, shard: TokenRange) -> None:
        """Reads the shard's range of all streams and writes its windows.

        Args:
            shard: The shard.
        """
        read = list(self._model.windows(self._streams, shard.start, shard.stop, shard.state))
        with beam_pipeline.writing_aside(file_of(self._folder, shard)) as aside:
            _write(aside, read)


def file_of(folder: str, shard: TokenRange) -> Path:
    """Returns the file in `folder` that holds the windows of a shard.

    Args:
        folder: The folder of the windows' files.
        shard: The shard.
    """
    return Path(folder) / f"{shard.start:012d}"


def _write(path: Path, read: Sequence[tuple[int, Window]]) -> None:
    """Writes windows, and the index of the stream of each, as plain arrays."""
    arrays = {"stream": np.array([stream for stream, _ in read])}
    for name in _WINDOW:
        arrays |= {f"{name} {place}": np.asarray(getattr(window, name)) for place, (_, window) in enumerate(read)}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _read(path: Path) -> Iterator[tuple[int, Window]]:
    with np.load(path, allow_pickle=False) as arrays:
        for place, stream in enumerate(arrays["stream"].tolist()):
            start, *rest = (arrays[f"{name} {place}"] for name in _WINDOW)
            yield stream, Window(int(start), *rest)
