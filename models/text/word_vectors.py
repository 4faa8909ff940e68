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
    """Loads the vectors that a file has for `words`.

    The file is read once, front to back, and only the vectors of these words are kept. Its name decides the format:

    - `*.bin`, `*.bin.gz`: word2vec's binary format;
    - `*.npy`: an array [n, units] whose words are in the file of the same name that ends in `.txt`, one a line;
    - anything else, plain or `.gz`: text, a word and its numbers a line; a first line of two integers (word2vec's and
      fastText's text formats) or none (GloVe).

    Args:
        path: The file.
        words: The vocabulary; no word twice. Matched exactly, byte by byte in UTF-8.
        units: Numbers of a vector.

    Returns:
        rows: int64 [matches], positions in `words`, ascending.
        vectors: float32 [matches, units], their vectors.

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
        by_row = _collected(path, _matches(path, index, units))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be decompressed ({error}). Fetch it again.") from None
    rows = np.array(sorted(by_row), np.int64)
    vectors = np.array([by_row[row] for row in rows], np.float32).reshape(len(rows), units)
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"{path}: the vector of {words[rows[wrong[0]]]!r} has numbers that are not finite. Correct or remove it."
        )
    return rows, vectors


def set_word_vectors(model, words: Sequence[str], path: str | Path) -> dict:
    """Starts a `LanguageModel`'s embedding from a file's vectors. Words that the file lacks keep their initial values.

    Args:
        model: A built `LanguageModel`; its embedding, and the copy of it where there is one, are changed.
        words: Its vocabulary.
        path: The file, in a format of `load_word_vectors`.

    Returns:
        dict of `words_found` (words that the file has) and `share_found` (their share of the vocabulary).

    Raises:
        ValueError: For the reasons of `load_word_vectors`, such as a missing file or vectors of another length.
    """
    rows, vectors = load_word_vectors(path, words, model.embedding_units)
    table = model.embedding.embeddings.numpy()
    table[rows] = vectors
    model.embedding.embeddings.assign(table)
    if model.target_table is not None:
        model.target_table.assign(table)
    share = len(rows) / len(words)
    logging.info("%s has vectors for %s of %s words (%.1f%%).", path, f"{len(rows):,}", f"{len(words):,}", 100 * share)
    return {"words_found": len(rows), "share_found": round(share, 4)}


def _matches(path: Path, index: dict[bytes, int], units: int) -> Iterator[tuple[int, bytes, np.ndarray]]:
    """Yields (row, word, vector) of each word of the file that is in the vocabulary."""
    stem = path.name.removesuffix(".gz")
    if path.suffix == ".npy":
        yield from _array_matches(path, index, units)
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        yield from (_binary_matches if stem.endswith(".bin") else _text_matches)(path, file, index, units)


def _collected(path, matches) -> dict[int, np.ndarray]:
    """The vectors by their rows; no row twice."""
    by_row: dict[int, np.ndarray] = {}
    for row, word, vector in matches:
        if row in by_row:
            raise ValueError(f"{path} has the word {_shown(word)} twice: remove all but one of its vectors.")
        by_row[row] = vector
    return by_row


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
            if b" " not in word:  # a phrase, such as GloVe's `. . .`, is not its first word
                yield row, word, np.array(numbers, dtype="S").astype(np.float32)
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number:,}: expected the word {_shown(line.partition(b' ')[0])} and {units} numbers, "
                f"found something else ({error}). Correct the line or fetch the file again."
            ) from None
    if not number:
        raise ValueError(f"{path} is empty; expected a word and {units} numbers a line.")
    if count is not None and number - 1 != count:
        raise ValueError(
            f"{path}: its first line announces {count:,} vectors, found {number - 1:,}. Fetch the file again."
        )


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


def _check_size(path, size: int, units: int) -> None:
    if size != units:
        raise ValueError(
            f"{path}: found vectors of {size} numbers, expected {units}. Set model.embedding_units (or "
            f"model.units) to {size}, or use vectors of {units}."
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
        raise ValueError(
            f"{path}: expected a first line of two numbers, as in word2vec's binary format. Name a text file without "
            ".bin, or fetch the file again."
        )
    count = int(header[0])
    _check_size(path, int(header[1]), units)
    buffer, start = b"", 0
    for record in range(count):
        while (space := buffer.find(b" ", start)) < 0 or space + 1 + 4 * units > len(buffer):
            chunk = file.read(CHUNK)
            if not chunk:
                raise ValueError(
                    f"{path}: its first line announces {count:,} vectors, but the file ends within number "
                    f"{record + 1:,}. Fetch the file again."
                )
            buffer, start = buffer[start:] + chunk, 0
        word = buffer[start:space].lstrip(b"\n")
        if word in index:
            yield index[word], word, np.frombuffer(buffer, "<f4", units, space + 1).copy()
        start = space + 1 + 4 * units
    if (buffer[start:] + file.read(100)).strip():
        raise ValueError(
            f"{path}: its first line announces {count:,} vectors, but the file continues after them. Fetch the file "
            "again."
        )


def _array_matches(path, index, units):
    list_path = path.with_suffix(".txt")
    if not list_path.is_file():
        raise ValueError(f"{list_path}: found no such file, expected the words of {path.name}, one a line.")
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # not np.load, which also opens pickles and archives
    except Exception as error:  # the header is parsed as Python, which raises many types of errors
        raise ValueError(f"{path} is not an array in NumPy's format ({error}). Write it with numpy.save.") from None
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
        raise ValueError(
            f"{list_path} has {number:,} words, {path.name} {len(array):,} vectors; expected the same number. Write "
            "one word a line for each vector."
        )


def _shown(text: bytes) -> str:
    """Shortens text of a file to at most 40 characters, for a message."""
    return repr(text[:40].decode("utf-8", "replace"))
