"""Text files as a source: selecting them, cutting them into ordered chunks, and reading the chunks' lines.

No large file is read into memory: cut points are found by seeking, lines are counted by streaming.
"""

import codecs
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from components.artifacts.splits import SPLITS
from components.base import ComponentError
from components.example_gen import file_stamp, splits, text_encoding
from components.example_gen.file_stamp import Stamp
from components.example_gen.folder_listing import contents, find_files
from components.example_gen.lines import LineRun, block_runs, file_runs
from components.example_gen.text_encoding import TextFormat
from components.text_bytes import count_invalid, printable

MAX_LINE_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_GZIP_GROWTH = 3  # text is about this many times larger than its gzip file


@dataclass(frozen=True)
class TextPiece:
    """A run of lines of one file that one worker reads.

    Attributes:
        path: The file, or its URL.
        name: The file's name below the data folder, which is the document's name.
        start: Offset of the first byte.
        end: Offset behind the last byte; None reads to the end (always so if the format is not seekable).
        line: Index in the file of the first line.
        format: How the file stores its text.
        blocks: Whether documents are blank-line-separated blocks rather than files.
        stamp: The file's stamp when the chunks were listed.
        num_lines: Number of its lines; None if they were not counted.
    """

    path: str
    name: str
    start: int
    end: int | None
    line: int
    format: TextFormat
    blocks: bool
    stamp: Stamp
    num_lines: int | None = None

    def lines(self) -> Iterator[bytes]:
        """Yields the piece's lines as UTF-8, without a byte-order mark at the file's beginning.

        Raises:
            ComponentError: If a line is longer than `MAX_LINE_BYTES`, the file has changed since the chunks were
                listed, or a gzip file is damaged or a bomb.
        """
        number, read = self.line, 0
        file = text_encoding.open_text(self.path, self.format.compressed, self.start)
        for line in text_encoding.read_lines(file, self.path, self.format.encoding, MAX_LINE_BYTES + 1):
            read += len(line)
            self._check(line, number, read)
            if read == len(line) and self.start == 0:
                line = line.removeprefix(codecs.BOM_UTF8)
            number += 1
            if line:
                yield line
            if self.end is not None and self.start + read >= self.end:
                break
        if self.end is not None and self.start + read != self.end:
            raise file_stamp.changed(self.path)

    def _check(self, line: bytes, number: int, read: int) -> None:
        if len(line) > MAX_LINE_BYTES:
            raise ComponentError(
                f"{self.path}: line {number + 1} is longer than {MAX_LINE_BYTES:,} bytes. The text is cut at newlines: "
                "check that this is a text file. Break its lines or leave it out with example_gen.pattern."
            )
        bound = text_encoding.GZIP_FREE_BYTES + text_encoding.GZIP_GROWTH * self.stamp[0]
        if self.format.compressed and read > bound:
            raise ComponentError(
                f"{self.path}: the text of this gzip file is larger than {bound:,} bytes, the limit for its "
                f"{self.stamp[0]:,} bytes ({text_encoding.GZIP_GROWTH} times, and {text_encoding.GZIP_FREE_BYTES:,} "
                "more). It may be a gzip bomb. Unpack it yourself if it is text, or leave it out."
            )

    def runs(self) -> Iterator[LineRun]:
        """Yields the piece's lines as runs of its documents."""
        if self.blocks:
            return block_runs(self.lines(), self.name, self.line)
        return file_runs(self.lines(), self.name, self.line)

    def count_lines(self) -> int:
        """Returns the number of lines; a last line without a line end counts."""
        if self.end is None:
            return sum(1 for _ in self.lines())
        count, last, left = 0, b"\n", self.end - self.start
        with text_encoding.open_text(self.path, False, self.start) as file:
            while block := file.read(min(_READ_BYTES, left)):
                count += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
                count -= last == b"\r" and block[:1] == b"\n"  # one line end, read in two parts
                last, left = block[-1:], left - len(block)
        return count + (last not in (b"\n", b"\r"))


@dataclass
class FileBytes:
    """Counts of the bytes of a text file, or of a part of it.

    Attributes:
        size: Bytes of text.
        invalid: Number of those that are not UTF-8.
        nul: Number of those that are zero: few in a text, many in a binary file.
    """

    size: int = 0
    invalid: int = 0
    nul: int = 0

    def __add__(self, other: "FileBytes") -> "FileBytes":
        return FileBytes(self.size + other.size, self.invalid + other.invalid, self.nul + other.nul)

    @classmethod
    def of(cls, text: bytes) -> "FileBytes":
        """Counts the bytes of a text.

        Args:
            text: The text.
        """
        return cls(len(text), count_invalid(text)[0], text.count(0))


@dataclass(frozen=True)
class SourceChunk:
    """The part of the source that one worker reads and writes.

    Attributes:
        pieces: Pieces of the source, in order; each has `runs()`.
        rule: Decides which split each run belongs to.
        first_line: Index of the first line among the lines of the corpus to which the rule applies.
    """

    pieces: tuple
    rule: splits.SplitRule
    first_line: int = 0

    def routed(self, files: dict[str, FileBytes] | None = None) -> Iterator[tuple[str, LineRun]]:
        """Yields each run with its split, in order; adds the byte counts of text files to `files`, by name."""
        return self.rule.route(self._runs({} if files is None else files), self.first_line)

    def _runs(self, files: dict[str, FileBytes]) -> Iterator[LineRun]:
        for piece in self.pieces:
            for run in piece.runs():
                if isinstance(piece, TextPiece):
                    files[piece.name] = files.get(piece.name, FileBytes()) + FileBytes.of(run.text)
                yield run


def plan(data_dir: str | Path, pattern: str, document: str, chunk_bytes: int, warnings: list[str]) -> list[SourceChunk]:
    """Lists the chunks of a folder of text files in the corpus's order: train, eval, test; by name in each.

    Args:
        data_dir: The folder, or its URL.
        pattern: Glob pattern relative to it.
        document: "file" or "block", what is one document.
        chunk_bytes: About how many bytes of text a chunk has.
        warnings: Receives a warning about files that are left out.

    Raises:
        ComponentError: If files are missing or unreadable, or the text is too little for three splits.
    """
    pieces = [whole_file(path, name, document == "block") for path, name in find_files(data_dir, pattern)]
    by_split = _split_by_name([piece for piece in pieces if piece.end != 0], data_dir, warnings)
    missing = [split for split in SPLITS[1:] if split not in by_split]
    if missing and document == "file" and len(by_split["train"]) >= splits.MIN_DOCUMENTS_TO_HASH:
        by_split |= _split_by_hash(by_split["train"], missing)
        missing = []
    parts = {split: [part for piece in by_split[split] for part in _cut(piece, chunk_bytes)] for split in by_split}
    rule = splits.WholeSplit("train")
    if missing:
        rule, parts["train"] = _hold_out(parts["train"], missing)
    chunks = _pack(parts["train"], rule, chunk_bytes)
    for split in SPLITS[1:]:
        chunks += _pack(parts.get(split, []), splits.WholeSplit(split), chunk_bytes)
    return chunks


def _split_by_name(
    pieces: Sequence[TextPiece], data_dir: str | Path, warnings: list[str]
) -> dict[str, list[TextPiece]]:
    """Groups files by split; those whose names name none are train's, or left out if others' names contain train."""
    if not pieces:
        raise ComponentError(f"example_gen.data_dir: every file that was matched in {data_dir} is empty.")
    by_split: dict[str, list[TextPiece]] = {}
    for piece in pieces:
        by_split.setdefault(splits.split_of_path(piece.name) or "", []).append(piece)
    unnamed = by_split.pop("", [])
    if "train" not in by_split:
        by_split["train"] = unnamed
    elif unnamed:
        some = ", ".join(printable(piece.name) for piece in unnamed[:5])
        more = f" and {len(unnamed) - 5:,} more" if len(unnamed) > 5 else ""
        warnings.append(
            f"{len(unnamed):,} of the files of {data_dir} are left out, since their names have no split's word and "
            f"{printable(by_split['train'][0].name)} has train: {some}{more}. To read them, give their names a split's "
            "word. To leave them out without this warning, use example_gen.pattern."
        )
    if not by_split["train"]:
        raise ComponentError(
            f"example_gen.data_dir: no file to train on. The names of all {len(pieces)} files contain eval or test "
            f"({printable(pieces[0].name)}, ...), and the folder holds {contents(data_dir)}; add files that "
            "example_gen.pattern matches and whose names contain train, or none of these words."
        )
    return by_split


def _split_by_hash(pieces: Sequence[TextPiece], missing: Sequence[str]) -> dict[str, list[TextPiece]]:
    """Divides files among train and the missing splits by a hash of their names."""
    fractions = [splits.document_fraction(piece.name.encode(errors="surrogateescape")) for piece in pieces]
    rule = splits.hold_out_documents(fractions, missing)
    divided: dict[str, list[TextPiece]] = {split: [] for split in ("train", *missing)}
    for piece, fraction in zip(pieces, fractions, strict=True):
        divided[rule.split_of(fraction)].append(piece)
    return divided


def _hold_out(parts: list[TextPiece], missing: Sequence[str]) -> tuple[splits.SplitRule, list[TextPiece]]:
    """Returns the rule that takes the missing splits from `parts`, and `parts` with their lines counted if needed."""
    if parts[0].blocks:
        starts = (run for part in parts for run in part.runs() if run.position == 0)
        fractions = [splits.run_fraction(run) for run in itertools.islice(starts, splits.HASHES_TO_LOOK_AT)]
        if len(fractions) >= splits.MIN_DOCUMENTS_TO_HASH:
            return splits.hold_out_documents(fractions, missing), parts
    parts = [part if part.num_lines is not None else replace(part, num_lines=part.count_lines()) for part in parts]
    return splits.hold_out_lines(sum(part.num_lines for part in parts), missing), parts


def _pack(parts: Iterable[TextPiece], rule: splits.SplitRule, chunk_bytes: int) -> list[SourceChunk]:
    """Groups the pieces of small files into chunks of about `chunk_bytes`."""
    chunks: list[SourceChunk] = []
    group: list[TextPiece] = []
    size = first_line = next_line = 0
    for part in parts:
        weight = _text_bytes(part)
        if group and size + weight > chunk_bytes:
            chunks.append(SourceChunk(tuple(group), rule, first_line))
            group, size, first_line = [], 0, next_line
        group.append(part)
        size += weight
        next_line += part.num_lines or 0  # the lines are counted if the rule needs them
    return [*chunks, SourceChunk(tuple(group), rule, first_line)] if group else chunks


def _text_bytes(part: TextPiece) -> int:
    """About how many bytes of text a piece has."""
    if part.end is not None:
        return part.end - part.start
    return part.stamp[0] * (_GZIP_GROWTH if part.format.compressed else 1)


def _cut(piece: TextPiece, chunk_bytes: int) -> Iterator[TextPiece]:
    """Cuts a plain file into pieces of about `chunk_bytes`: at line ends or, where blocks are documents, before one."""
    if piece.end is None or piece.end - piece.start <= chunk_bytes:
        yield piece
        return
    start, line = piece.start, piece.line
    while start < piece.end:
        part = replace(piece, start=start, end=_next_cut(piece, start + chunk_bytes), line=line)
        part = replace(part, num_lines=part.count_lines())
        yield part
        start, line = part.end, line + part.num_lines


def _next_cut(piece: TextPiece, target: int) -> int:
    """The first place at or behind `target` where a line (or a block) begins, or the end of the piece."""
    if target >= piece.end:
        return piece.end
    cut, last, after_blank = target - 1, b"", False
    file = text_encoding.open_text(piece.path, False, cut)
    for part in text_encoding.read_lines(file, piece.path, None, _READ_BYTES):  # long lines in parts: bounded memory
        # The bound on parts may fall between a carriage return and its newline.
        begins = last == b"\n" or (last == b"\r" and part[:1] != b"\n")
        if cut >= piece.end or (begins and (not piece.blocks or (after_blank and not part.isspace()))):
            break
        after_blank = begins and part.isspace()
        cut, last = cut + len(part), part[-1:]
    return min(cut, piece.end)


def whole_file(path: str | Path, name: str, blocks: bool) -> TextPiece:
    """Returns a file as one piece.

    Args:
        path: The file, or its URL.
        name: The file's name below the data folder.
        blocks: Whether its documents are blank-line-separated blocks.

    Raises:
        ComponentError: If it cannot be read or is not text.
    """
    stamp = file_stamp.stamp(path)
    format = text_encoding.recognise(path)
    end = stamp[0] if format.seekable else None
    if end == len(codecs.BOM_UTF8) and text_encoding.read_head(path)[0] == codecs.BOM_UTF8:
        end = 0
    return TextPiece(str(path), name, 0, end, 0, format, blocks, stamp)
