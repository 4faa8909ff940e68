"""Scores chunks of files with Beam workers. Each chunk gets its own output file; these files are joined in order."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from components import beam_pipeline
from models import files
from pipeline.scoring.lines import GZIP_MAGIC, LineReader

CHUNK_BYTES = 1 << 20
LINES_AT_ONCE = 2048


@dataclass(frozen=True)
class LineRange:
    """The lines of a file that begin in bytes [start, end); if `end` is None, all lines of a gzip file."""

    number: int
    path: str
    start: int
    end: int | None


class _Score(beam.DoFn):
    """Writes the scores of a chunk, unless its file exists already."""

    def __init__(self, model: str, folder: str):
        self._model, self._folder = model, folder

    def setup(self):
        from pipeline.scoring.scorer import Scorer

        self._scorer = Scorer(Path(self._model))

    def process(self, chunk: LineRange):
        target = _file_of(Path(self._folder), chunk)
        if target.exists():
            return
        with beam_pipeline.writing_aside(target) as part, part.open("w", encoding="utf-8") as output:
            for lines in in_groups(read(chunk), LINES_AT_ONCE):
                output.writelines(f"{line}\n" for line in self._scorer.score(lines)[0])


@contextlib.contextmanager
def chunks_folder(folder: Path, made_from: dict[str, Any]) -> Iterator[Path]:
    """Makes the folder of the scored chunks, and removes it at the end; an interrupted command leaves it, to resume.

    Args:
        folder: The folder. If it holds chunks of other inputs or another model, they are removed first.
        made_from: JSON-serialisable description of the inputs and the model.

    Yields:
        The folder's absolute path, since workers may run in another folder.
    """
    description, content = folder / "made_from.json", json.dumps(made_from)
    if folder.exists() and not (description.is_file() and description.read_text(encoding="utf-8") == content):
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    files.write_text(description, content)
    yield folder.absolute()
    shutil.rmtree(folder)


def score(model: Path, paths: Sequence[str], folder: Path, beam_args: Sequence[str], output: Path) -> None:
    """Scores files into a folder and joins the parts. Chunks that an earlier attempt has scored are kept.

    Args:
        model: Folder of the SavedModel.
        paths: Text files, plain or gzip.
        folder: The folder of `chunks_folder`.
        beam_args: Options of Apache Beam.
        output: The file to write.

    Raises:
        ComponentError: If Beam does not accept its arguments, or its workers fail.
    """
    chunks = list(chunks_of(paths))
    with beam_pipeline.open_pipeline(beam_args) as root:
        _ = (
            root
            | "Chunks" >> beam.Create(chunks, reshuffle=True)
            | "Score" >> beam.ParDo(_Score(str(model.absolute()), str(folder)))
        )
    unfinished = output.with_name(f"{output.name}.part")
    with unfinished.open("wb") as joined:
        for chunk in chunks:
            with _file_of(folder, chunk).open("rb") as part:
                shutil.copyfileobj(part, joined)
        joined.flush()
        os.fsync(joined.fileno())
    os.replace(unfinished, output)
    files.sync(output.parent)


def chunks_of(paths: Sequence[str]) -> Iterator[LineRange]:
    """Divides files into chunks of about a megabyte, in order; a gzip file is one chunk.

    Args:
        paths: Text files, plain or gzip.
    """
    number = 0
    for path in paths:
        with open(path, "rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
        size = Path(path).stat().st_size
        bounds = [(0, None)] if compressed else [(s, s + CHUNK_BYTES) for s in range(0, size, CHUNK_BYTES)]
        for start, end in bounds:
            yield LineRange(number, os.path.abspath(path), start, end)
            number += 1


def read(chunk: LineRange) -> Iterator[bytes]:
    """Yields the lines that begin in a chunk, without their newlines.

    Args:
        chunk: The chunk.
    """
    if chunk.end is None:
        yield from LineReader(chunk.path)
        return
    with open(chunk.path, "rb") as file:
        if chunk.start:
            file.seek(chunk.start - 1)
            file.readline()  # the rest of a line that began in the chunk before
        while file.tell() < chunk.end and (line := file.readline()):
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def in_groups(lines: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """Yields lists of lines.

    Args:
        lines: The lines.
        size: Number of lines in each list; the last one may have fewer.
    """
    group = []
    for line in lines:
        group.append(line)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _file_of(folder: Path, chunk: LineRange) -> Path:
    return folder / f"{chunk.number:08d}.jsonl"
