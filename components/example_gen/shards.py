"""Writes a chunk as shards of `tf.train.Example`, one series for each split that it has text for."""

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import apache_beam as beam
import tensorflow as tf

from components import beam_pipeline
from components.artifacts.examples import Example, serialize, shard_name
from components.artifacts.splits import SPLITS, split_dir
from components.base import ComponentError
from components.example_gen.lines import LineRun
from components.example_gen.text_files import FileBytes, SourceChunk


@dataclass
class SplitCounts:
    """Counts of the text of one split, for one chunk or for the whole corpus.

    Attributes:
        documents: Number of documents; a document that continues in the next chunk counts in both.
        lines: Number of lines, blank ones included.
        bytes: Bytes of text.
        blank: Whether there is only white space.
        first_document: Name of the first document.
        last_document: Name of the last document.
    """

    documents: int = 0
    lines: int = 0
    bytes: int = 0
    blank: bool = True
    first_document: str | None = None
    last_document: str | None = None

    def add(self, run: LineRun, text: bytes) -> None:
        """Counts one run, whose text is `text`.

        Args:
            run: The run.
            text: Its text.
        """
        if run.document != self.last_document:
            self.documents += 1
            self.last_document = run.document
        if self.first_document is None:
            self.first_document = run.document
        self.lines += len(run.lines)
        self.bytes += len(text)
        self.blank = self.blank and not text.strip()

    def extend(self, later: "SplitCounts") -> None:
        """Adds the counts of the chunk that follows.

        Args:
            later: The counts of that chunk.
        """
        if later.lines == 0:
            return
        self.documents += later.documents - (later.first_document == self.last_document)
        self.lines += later.lines
        self.bytes += later.bytes
        self.blank = self.blank and later.blank
        self.first_document = self.first_document if self.first_document is not None else later.first_document
        self.last_document = later.last_document


class ShardWriter:
    """Writes one chunk's runs of one split, and starts a new shard when one has `shard_bytes` of text.

    A chunk can be larger than planned (a gzip file, uneven examples); its shards are not.

    Args:
        prefix: Path of the shards without their numbers.
        shard_bytes: Bytes of text after which a new shard is started.

    Attributes:
        names: Names of the shards so far.
        counts: Counts of the runs so far.
    """

    def __init__(self, prefix: Path, shard_bytes: int):
        self._prefix = prefix
        self._shard_bytes = shard_bytes
        self._writer: tf.io.TFRecordWriter | None = None
        self._size = 0
        self.names: list[str] = []
        self.counts = SplitCounts()

    def write(self, run: LineRun) -> None:
        """Appends one run.

        Args:
            run: The run.
        """
        text = run.text
        if self._writer is None or self._size >= self._shard_bytes:
            self.close()
            self.names.append(f"{self._prefix.name}-{len(self.names):06d}")
            self._writer = tf.io.TFRecordWriter(str(self._prefix.with_name(self.names[-1])))
            self._size = 0
        document = run.document.encode("utf-8", "surrogateescape")
        self._writer.write(serialize(Example(document, run.position, text)))
        self._size += len(text)
        self.counts.add(run, text)

    def close(self) -> None:
        """Finishes the current shard."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class WriteChunk(beam.DoFn):
    """Reads a chunk and writes its shards and counts to a temporary folder, named by the chunk's position.

    Errors that a user can fix are stored with the counts, because Beam's runners wrap exceptions in different ways.

    Args:
        folder: A folder with a folder for each split, and `counts`.
        shard_bytes: Bytes of text after which a new shard is started.
    """

    def __init__(self, folder: str, shard_bytes: int):
        self._folder = Path(folder)
        self._shard_bytes = shard_bytes

    def process(self, element: tuple[int, SourceChunk]) -> None:
        """Writes one chunk.

        Args:
            element: The chunk's position in the corpus, and the chunk.
        """
        place, chunk = element
        # Each attempt uses unique names, because a worker that the runner gave up may still write.
        attempt = f"{place:06d}-{uuid.uuid4().hex}"
        writers = {split: ShardWriter(self._folder / split / attempt, self._shard_bytes) for split in SPLITS}
        report: dict = {}
        files: dict[str, FileBytes] = {}
        try:
            for split, run in chunk.routed(files):
                writers[split].write(run)
            report["files"] = {name: asdict(counts) for name, counts in files.items()}
            report["splits"] = {split: asdict(writer.counts) for split, writer in writers.items()}
            report["shards"] = {split: writer.names for split, writer in writers.items()}
        except ComponentError as error:
            report["error"] = str(error)
        finally:
            for writer in writers.values():
                writer.close()
        with beam_pipeline.writing_aside(self._folder / "counts" / f"{place:06d}.json") as aside:
            aside.write_text(json.dumps(report))


def _place(path: Path) -> int:
    return int(path.stem)


def _reports(folder: Path) -> list[dict]:
    """Returns what the workers wrote about each chunk, in the corpus's order."""
    return [json.loads(path.read_text()) for path in sorted((folder / "counts").glob("[!.]*.json"), key=_place)]


def read_counts(folder: Path, chunks: int) -> dict[str, SplitCounts]:
    """Adds up the counts of all chunks, in the corpus's order.

    Args:
        folder: The temporary folder that `WriteChunk` wrote to.
        chunks: Number of chunks that must be there.

    Raises:
        ComponentError: The first error of a chunk.
        RuntimeError: If the runner did not read every chunk.
    """
    totals = {split: SplitCounts() for split in SPLITS}
    reports = _reports(folder)
    if len(reports) != chunks:
        raise RuntimeError(f"The Beam runner read {len(reports)} chunks of {chunks}.")
    for report in reports:
        if "error" in report:
            raise ComponentError(report["error"])
        for split, counts in report["splits"].items():
            totals[split].extend(SplitCounts(**counts))
    return totals


def read_files(folder: Path) -> dict[str, FileBytes]:
    """Adds up the byte counts of each text file over all chunks.

    Args:
        folder: The temporary folder that `WriteChunk` wrote to.

    Returns:
        The counts by the file's name.
    """
    files: dict[str, FileBytes] = {}
    for report in _reports(folder):
        for name, counts in report["files"].items():
            files[name] = files.get(name, FileBytes()) + FileBytes(**counts)
    return files


def publish(folder: Path, examples: Path) -> dict[str, int]:
    """Moves the shards to `Split-<split>/data_tfrecord-00000-of-00012`, numbered by their position.

    Args:
        folder: The temporary folder that `WriteChunk` wrote to.
        examples: Folder of the artifact.

    Returns:
        The number of shards of each split.
    """
    numbers = {}
    for split in SPLITS:
        target = split_dir(examples, split)
        target.mkdir()
        shards = [name for report in _reports(folder) for name in report["shards"][split]]
        for place, shard in enumerate(shards):
            (folder / split / shard).rename(target / shard_name(place, len(shards)))
        numbers[split] = len(shards)
    return numbers
