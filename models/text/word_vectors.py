"""Reads pre-trained word vectors for the words of a vocabulary: GloVe, word2vec (text and binary) and NumPy files."""

import codecs
import gzip
import logging
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

CHUNK = 2**20  # bytes of a binary file that are read at a time


def load_word_vectors(path: str | Path, words: Sequence[str], units: int) -> tuple[np.ndarray, np.ndarray]:
    """The vectors that a file has for `words`.

    The file is read once, front to back, and only the vectors that are asked for are kept. Its name decides the format:

    - `*.bin`, `*.bin.gz`: word2vec's binary format;
    - `*.npy`: an array [n, units] whose words stand in the file of the same name that ends in `.txt`, one a line;
    - anything else, plain or `.gz`: text, a word and its numbers a line; a first line of two integers (word2vec's and
      fastText's text formats) or none (GloVe).

    Args:
        path: The file.
        words: The vocabulary; no word twice. Matched exactly, byte by byte in UTF-8.
        units: Numbers of a vector.

    Returns:
        rows: int64 [found], positions in `words`, ascending.
        vectors: float32 [found, units], their vectors.

    Raises:
        ValueError: If the file or its word list is missing, its vectors are not `units` long, it is cut short, or a
            word of the vocabulary is in it twice or has numbers that are not finite.
    """
    path = Path(path).expanduser()
    index = {word.encode("utf-8", "surrogateescape"): row for row, word in enumerate(words)}
    if len(index) != len(words):
        raise ValueError(f"The vocabulary has {len(words):,} words, of which only {len(index):,} differ.")
    if not path.is_file():
        raise ValueError(f"{path}: found no such file, expected word vectors. Correct model.pretrained_embeddings.")
    try:
        found = _collected(path, _matches(path, index, units), units)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed ({error}). Fetch it again.") from None
    rows = np.array(sorted(found), np.int64)
    vectors = np.array([found[row] for row in rows], np.float32).reshape(len(rows), units)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise ValueError(f"{path}: the vector of {words[rows[wrong[0]]]!r} has numbers that are not finite. Mend it.")
    return rows, vectors


def set_word_vectors(model, words: Sequence[str], path: str | Path) -> dict:
    """Starts a `LanguageModel`'s embedding from a file's vectors; words that it lacks keep their initial values.

    Returns:
        dict of `words_found` and `share_found` (of the vocabulary).

    Raises:
        ValueError: As `load_word_vectors`.
    """
    rows, vectors = load_word_vectors(path, words, model.units)
    table = model.embedding.embeddings.numpy()
    table[rows] = vectors
    model.embedding.embeddings.assign(table)
    if model.target_table is not None:
        model.target_table.assign(table)
    share = len(rows) / len(words)
    logging.info("%s has vectors for %s of %s words (%.1f%%).", path, f"{len(rows):,}", f"{len(words):,}", 100 * share)
    return {"words_found": len(rows), "share_found": round(share, 4)}


def _matches(path: Path, index: dict[bytes, int], units: int) -> Iterator[tuple[int, bytes, np.ndarray]]:
    """Yields (row, word, vector) of each word that the vocabulary has."""
    stem = path.name.removesuffix(".gz")
    if path.suffix == ".npy":
        yield from _array_matches(path, index, units)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from (_binary_matches if stem.endswith(".bin") else _text_matches)(path, file, index, units)


def _collected(path, matches, units) -> dict[int, np.ndarray]:
    found: dict[int, np.ndarray] = {}
    for row, word, vector in matches:
        if row in found:
            raise ValueError(f"{path} has the word {_shown(word)} twice: remove all but one of its vectors.")
        found[row] = vector
    return found


def _text_matches(path, file, index, units):
    count, number = None, 0
    for number, line in enumerate(file, 1):
        line = line.rstrip(b" \r\n")
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
            count = _check_first_line(path, line, units)
            if count is not None:
                continue
        row = index.get(line.partition(b" ")[0])
        if row is None:
            continue
        word, *numbers = line.rsplit(b" ", units)
        try:
            if len(numbers) != units or b" " in word and _is_number(word.rpartition(b" ")[2]):
                raise ValueError(f"{line.count(b' ')} numbers")
            if b" " not in word:  # else it is a phrase, such as GloVe's `. . .`
                yield row, word, np.array(numbers, dtype="S").astype(np.float32)
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number:,}: expected the word {_shown(line.partition(b' ')[0])} and {units} numbers, "
                f"found otherwise ({error}). Correct the line or fetch the file again."
            ) from None
    if not number:
        raise ValueError(f"{path} is empty; expected a word and {units} numbers a line.")
    if count is not None and number - 1 != count:
        raise ValueError(f"{path} promises {count:,} vectors and has {number - 1:,}: fetch it again.")


def _check_first_line(path, line, units) -> int | None:
    """The number of vectors where the line is a header, None where it is a vector itself."""
    fields = line.split(b" ")
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        _check_size(path, int(fields[1]), units)
        return int(fields[0])
    if not all(map(_is_number, fields[1:])) or len(fields) < 2:
        raise ValueError(
            f"{path} begins with {_shown(line)}; expected a word and {units} numbers, as text. Files in word2vec's "
            "binary format have names that end in .bin or .bin.gz."
        )
    _check_size(path, len(fields) - 1, units)
    return None


def _check_size(path, found: int, units: int) -> None:
    if found != units:
        raise ValueError(
            f"{path}: found vectors of {found} numbers, expected {units}. Set model.units to {found} or use vectors of "
            f"{units}."
        )


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _binary_matches(path, file, index, units):
    header = file.readline(100).split()
    if len(header) != 2 or not all(field.isdigit() for field in header):
        raise ValueError(f"{path} does not begin with two numbers in a line: it is not in word2vec's binary format.")
    count = int(header[0])
    _check_size(path, int(header[1]), units)
    buffer, start = b"", 0
    for record in range(count):
        while (space := buffer.find(b" ", start)) < 0 or space + 1 + 4 * units > len(buffer):
            chunk = file.read(CHUNK)
            if not chunk:
                raise ValueError(
                    f"{path} promises {count:,} vectors and ends within number {record + 1:,}: fetch it again."
                )
            buffer, start = buffer[start:] + chunk, 0
        word = buffer[start:space].lstrip(b"\n")
        if word in index:
            yield index[word], word, np.frombuffer(buffer, "<f4", units, space + 1).copy()
        start = space + 1 + 4 * units
    if (buffer[start:] + file.read(100)).strip():
        raise ValueError(f"{path} promises {count:,} vectors and continues after them: fetch it again.")


def _array_matches(path, index, units):
    list_path = path.with_suffix(".txt")
    if not list_path.is_file():
        raise ValueError(f"{list_path}: found no such file, expected the words of {path.name}, one a line.")
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # np.load would take pickles and archives for arrays, too
    except Exception as error:  # its header is Python, whose tokenizer and parser have errors of their own
        raise ValueError(f"{path} is not an array in NumPy's format ({error}).") from None
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise ValueError(f"{path}: found {array.dtype} {list(array.shape)}, expected numbers [words, {units}].")
    _check_size(path, array.shape[1], units)
    number = 0
    with list_path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            word = line.rstrip(b"\r\n")
            if number == 1:
                word = word.removeprefix(codecs.BOM_UTF8)
            if word in index and number <= len(array):
                yield index[word], word, np.array(array[number - 1], np.float32)
    if number != len(array):
        raise ValueError(f"{list_path} has {number:,} words, {path.name} {len(array):,} vectors; expected as many.")


def _shown(text: bytes) -> str:
    """At most 40 characters of what a file has, for a message."""
    return repr(text[:40].decode("utf-8", "replace"))
