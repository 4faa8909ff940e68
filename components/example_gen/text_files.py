"""Plain and gzip text files: finding them, reading their lines, cutting them into ordered chunks.

Nothing here reads a large file into memory: cut points are found by seeking, lines are counted by streaming.
"""

import gzip
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from components.base import ComponentError
from components.example_gen import splits
from components.example_gen.lines import Run, block_runs, file_runs

MAX_LINE_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_GROWTH = 3  # text is about this many times larger than its gzip file
_UNREADABLE_MAGIC = {b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}


@dataclass(frozen=True)
class TextPiece:
    """A run of lines of one file that one worker reads.

    Attributes:
        path: The file.
        name: The file's name below the data directory: the document's name.
        start: Offset of the first byte.
        end: Offset behind the last byte; None reads on to the end (the only choice for gzip files).
        line: Index in the file of the first line.
        compressed: Whether the file is gzip.
        blocks: Whether documents are blank-line-separated blocks rather than files.
        num_lines: How many lines it has; None where nobody had to count them.
    """

    path: str
    name: str
    start: int
    end: int | None
    line: int
    compressed: bool
    blocks: bool
    num_lines: int | None = None

    def lines(self) -> Iterator[bytes]:
        """The piece's lines, streamed.

        Raises:
            ComponentError: If a line is longer than `MAX_LINE_BYTES`, or a gzip file is damaged.
        """
        number, left = self.line, self.end - self.start if self.end is not None else None
        with _open(self.path, self.compressed) as file:
            file.seek(self.start)
            while left is None or left > 0:
                line = _read_line(file, self.path, number)
                if not line:
                    return
                number += 1
                left = left if left is None else left - len(line)
                yield line

    def runs(self) -> Iterator[Run]:
        """The piece's lines as runs of its documents."""
        if self.blocks:
            return block_runs(self.lines(), self.name, self.line)
        return file_runs(self.lines(), self.name, self.line)

    def count_lines(self) -> int:
        """Number of lines; a last line without a newline counts."""
        if self.compressed or self.end is None:
            return sum(1 for _ in self.lines())
        count, last, left = 0, b"\n", self.end - self.start
        with open(self.path, "rb") as file:
            file.seek(self.start)
            while block := file.read(min(_READ_BYTES, left)):
                count, last, left = count + block.count(b"\n"), block[-1:], left - len(block)
        return count + (last != b"\n")


@dataclass(frozen=True)
class Chunk:
    """What one worker reads and writes.

    Attributes:
        pieces: Pieces of the source, in order; each has `runs()`.
        rule: Which split each run belongs to.
        first_line: Index in the corpus (of the lines the rule speaks of) of the first line.
    """

    pieces: tuple
    rule: splits.Rule
    first_line: int = 0

    def routed(self) -> Iterator[tuple[str, Run]]:
        """Each run of the chunk, in order, with its split."""
        return self.rule.route((run for piece in self.pieces for run in piece.runs()), self.first_line)


def find_files(data_dir: Path, pattern: str) -> list[tuple[Path, str]]:
    """The files that `pattern` matches below `data_dir` with their relative names, sorted by name; hidden ones apart.

    Raises:
        ComponentError: If the directory is missing or empty, or the pattern is bad or matches no file.
    """
    check_folder(data_dir)
    if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise ComponentError(
            f"example_gen.pattern: {pattern!r} must be a glob pattern relative to example_gen.data_dir "
            f"({data_dir}), such as '**/*.txt*'."
        )
    named = sorted((path.relative_to(data_dir).as_posix(), path) for path in data_dir.glob(pattern) if path.is_file())
    found = [(path, name) for name, path in named if not any(part.startswith(".") for part in name.split("/"))]
    if not found:
        raise ComponentError(
            f"example_gen.pattern: {pattern!r} matches no file in example_gen.data_dir ({data_dir}), which holds "
            f"{contents(data_dir)}. Set example_gen.pattern to match the text files."
        )
    return found


def check_folder(data_dir: Path) -> None:
    """Raises ComponentError unless `data_dir` is a folder with something in it."""
    if not data_dir.exists():
        raise ComponentError(f"example_gen.data_dir: there is no {data_dir}. Name the folder that holds the text.")
    if not data_dir.is_dir():
        raise ComponentError(
            f"example_gen.data_dir: {data_dir} is a file. Name its folder, {data_dir.parent}, and choose the file "
            f"with example_gen.pattern={data_dir.name}."
        )
    if next(data_dir.iterdir(), None) is None:
        raise ComponentError(f"example_gen.data_dir: {data_dir} is empty. Put the text files there.")


def contents(folder: Path) -> str:
    """A few of a folder's entries in words, for messages."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    shown = ", ".join(names[:5]) or "nothing"
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def plan(data_dir: Path, pattern: str, document: str, chunk_bytes: int) -> list[Chunk]:
    """Lists the chunks of a folder of text files in the corpus's order: train, eval, test; by name in each.

    Args:
        data_dir: The folder.
        pattern: Glob pattern below it.
        document: "file" or "block".
        chunk_bytes: About how many bytes of text a chunk has.

    Raises:
        ComponentError: If files are missing or unreadable, or the text is too little for three splits.
    """
    pieces = [_whole_file(path, name, document == "block") for path, name in find_files(data_dir, pattern)]
    by_split = _split_by_name([piece for piece in pieces if piece.end != 0], data_dir)
    missing = [split for split in splits.SPLITS[1:] if split not in by_split]
    if missing and document == "file" and len(by_split["train"]) >= splits.MIN_DOCUMENTS_TO_HASH:
        by_split |= _split_by_hash(by_split["train"], missing)
        missing = []
    parts = {split: [part for piece in by_split[split] for part in _cut(piece, chunk_bytes)] for split in by_split}
    rule = splits.Whole("train")
    if missing:
        rule, parts["train"] = _hold_out(parts["train"], missing)
    chunks = _pack(parts["train"], rule, chunk_bytes)
    for split in splits.SPLITS[1:]:
        chunks += _pack(parts.get(split, []), splits.Whole(split), chunk_bytes)
    return chunks


def _split_by_name(pieces: Sequence[TextPiece], data_dir: Path) -> dict[str, list[TextPiece]]:
    """Files by split; those whose name says none are train's, unless other files' names say train."""
    if not pieces:
        raise ComponentError(f"example_gen.data_dir: every file that was matched in {data_dir} is empty.")
    by_split: dict[str, list[TextPiece]] = {}
    for piece in pieces:
        by_split.setdefault(splits.split_of_path(piece.name) or "", []).append(piece)
    unnamed = by_split.pop("", [])
    if "train" not in by_split:
        by_split["train"] = unnamed
    if not by_split["train"]:
        raise ComponentError(
            f"example_gen.data_dir: no file to train on. The names of all {len(pieces)} files say eval or test "
            f"({pieces[0].name}, ...); add files whose names say train, or none of these words."
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


def _hold_out(parts: list[TextPiece], missing: Sequence[str]) -> tuple[splits.Rule, list[TextPiece]]:
    """The rule that takes the missing splits from `parts`, and `parts` with their lines counted if it needs that."""
    if parts[0].blocks:
        starts = (run for part in parts for run in part.runs() if run.position == 0)
        fractions = [splits.run_fraction(run) for run in itertools.islice(starts, splits.HASHES_TO_LOOK_AT)]
        if len(fractions) >= splits.MIN_DOCUMENTS_TO_HASH:
            return splits.hold_out_documents(fractions, missing), parts
    parts = [part if part.num_lines is not None else replace(part, num_lines=part.count_lines()) for part in parts]
    return splits.hold_out_lines(sum(part.num_lines for part in parts), missing), parts


def _pack(parts: Iterable[TextPiece], rule: splits.Rule, chunk_bytes: int) -> list[Chunk]:
    """Groups the pieces of small files into chunks of about `chunk_bytes`."""
    chunks: list[Chunk] = []
    group: list[TextPiece] = []
    size = first_line = next_line = 0
    for part in parts:
        weight = Path(part.path).stat().st_size * _GZIP_GROWTH if part.compressed else part.end - part.start
        if group and size + weight > chunk_bytes:
            chunks.append(Chunk(tuple(group), rule, first_line))
            group, size, first_line = [], 0, next_line
        group.append(part)
        size += weight
        next_line += part.num_lines or 0  # counted where the rule speaks of lines
    return [*chunks, Chunk(tuple(group), rule, first_line)] if group else chunks


def _cut(piece: TextPiece, chunk_bytes: int) -> Iterator[TextPiece]:
    """Cuts a plain file into pieces of about `chunk_bytes`: at line ends or, where blocks are documents, before one."""
    if piece.compressed or piece.end - piece.start <= chunk_bytes:
        yield piece
        return
    start, line = piece.start, piece.line
    with open(piece.path, "rb") as file:
        while start < piece.end:
            part = replace(piece, start=start, end=_next_cut(file, start + chunk_bytes, piece), line=line)
            part = replace(part, num_lines=part.count_lines())
            yield part
            start, line = part.end, line + part.num_lines


def _next_cut(file: io.BufferedReader, target: int, piece: TextPiece) -> int:
    """The first place at or behind `target` where a line (or a block) begins, or the end of the piece."""
    if target >= piece.end:
        return piece.end
    file.seek(target - 1)
    cut = target - 1 + _skip_line(file)
    if piece.blocks:
        after_blank = False
        while cut < piece.end and (line := _read_line(file, piece.path, None)):
            if after_blank and not line.isspace():
                break
            after_blank = line.isspace()
            cut += len(line)
    return min(cut, piece.end)


def _skip_line(file: io.BufferedReader) -> int:
    """Moves behind the next newline, in bounded memory; returns the number of bytes skipped."""
    skipped = 0
    while part := file.readline(_READ_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _read_line(file: io.BufferedIOBase, path: str, number: int | None) -> bytes:
    try:
        line = file.readline(MAX_LINE_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ComponentError(f"{path}: the gzip file is damaged ({error}). Replace it or leave it out.") from error
    if len(line) > MAX_LINE_BYTES:
        place = "a line" if number is None else f"line {number + 1}"
        raise ComponentError(
            f"{path}: {place} is longer than {MAX_LINE_BYTES:,} bytes. The text is cut at newlines: is this a text "
            "file? Break its lines or leave it out with example_gen.pattern."
        )
    return line


def _whole_file(path: Path, name: str, blocks: bool) -> TextPiece:
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise ComponentError(f"{path} cannot be read: {error.strerror}.") from error
    for prefix, kind in _UNREADABLE_MAGIC.items():
        if magic.startswith(prefix):
            raise ComponentError(
                f"{path} is a {kind} file; plain text and gzip can be read. Unpack it, or leave it out with "
                "example_gen.pattern."
            )
    compressed = magic.startswith(_GZIP_MAGIC)
    end = None if compressed else path.stat().st_size
    return TextPiece(str(path), name, 0, end, 0, compressed, blocks)


def _open(path: str, compressed: bool) -> io.BufferedIOBase:
    return gzip.open(path, "rb") if compressed else open(path, "rb")  # noqa: SIM115
