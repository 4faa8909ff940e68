"""Word vectors from files: every format gives the same vectors, and a damaged file is reported."""

import codecs
import gzip

import keras
import numpy as np
import pytest

from models.language_model import LanguageModel
from models.text.word_vectors import load_word_vectors, set_word_vectors

WORDS = ["<unk>", "<eos>", "the", "naïve", "zebra", "of"]
IN_FILE = ["of", ".", "the", "naïve", "quagga"]
VECTORS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
VECTORS.view(np.uint8)[0, :3] = [0x20, 0x0A, 0x20]  # bytes that look like a separator within a binary vector


def text(header="", words=IN_FILE, vectors=VECTORS, end="\n"):
    lines = [f"{word} {' '.join(str(x) for x in vector)}" for word, vector in zip(words, vectors, strict=True)]
    return (header + end.join(lines) + end).encode()


def binary(words=IN_FILE, vectors=VECTORS, newline=b"\n", header=None):
    records = [w.encode() + b" " + v.tobytes() + newline for w, v in zip(words, vectors, strict=True)]
    return (header or f"{len(vectors)} {vectors.shape[1]}\n".encode()) + b"".join(records)


FILES = {
    "glove.txt": text(),
    "glove.txt.gz": gzip.compress(text()),
    "word2vec.txt": text("5 4\n"),
    "fasttext.vec": text("5 4\n", end=" \n"),
    "word2vec.bin": binary(),
    "word2vec.bin.gz": gzip.compress(binary()),
    "gensim.bin": binary(newline=b""),
}


def write(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


def write_array(folder, array=VECTORS, words=IN_FILE):
    np.save(folder / "vectors.npy", array)
    if words is not None:
        (folder / "vectors.txt").write_text("".join(f"{word}\n" for word in words))
    return folder / "vectors.npy"


def message(path, words=WORDS, units=4):
    with pytest.raises(ValueError) as caught:
        load_word_vectors(path, words, units)
    return str(caught.value)


def assert_found(rows, vectors):
    np.testing.assert_array_equal(rows, [2, 3, 5])
    np.testing.assert_array_equal(vectors, VECTORS[[2, 3, 0]])
    assert (rows.dtype, vectors.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_vectors_of_the_words_that_it_has(name, tmp_path):
    assert_found(*load_word_vectors(write(tmp_path, name, FILES[name]), WORDS, 4))


@pytest.mark.parametrize("header", ["", "5 4\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path, header):
    content = codecs.BOM_UTF8 + text(header)
    assert_found(*load_word_vectors(write(tmp_path, "marked.txt", content), WORDS, 4))
    assert_found(*load_word_vectors(write(tmp_path, "marked.txt.gz", gzip.compress(content)), WORDS, 4))


def test_a_byte_order_mark_is_no_part_of_the_first_word_of_a_list(tmp_path):
    assert_found(*load_word_vectors(write_array(tmp_path, words=["\ufeffof", *IN_FILE[1:]]), WORDS, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_has_its_words_in_a_list_next_to_it(dtype, tmp_path):
    assert_found(*load_word_vectors(write_array(tmp_path, VECTORS.astype(dtype)), WORDS, 4))


@pytest.mark.parametrize("chunk", [1, 7, 20])
def test_binary_vectors_may_lie_across_the_chunks_that_are_read(chunk, tmp_path, monkeypatch):
    monkeypatch.setattr("models.text.word_vectors.CHUNK", chunk)
    assert_found(*load_word_vectors(write(tmp_path, "word2vec.bin", FILES["word2vec.bin"]), WORDS, 4))


def test_a_phrase_is_not_its_first_word(tmp_path):
    """GloVe's large files have lines such as `. . . 0.1 0.2`."""
    content = text() + b"the the the 1 2 3 4\nof name@example.com 5 6 7 8\n"
    assert_found(*load_word_vectors(write(tmp_path, "glove.txt", content), WORDS, 4))


def test_a_file_with_none_of_the_words_gives_none(tmp_path):
    rows, vectors = load_word_vectors(write(tmp_path, "glove.txt", FILES["glove.txt"]), ["<unk>", "<eos>"], 4)
    assert rows.shape == (0,) and vectors.shape == (0, 4)


def test_words_that_are_not_found_keep_their_initial_values_and_the_share_found_is_reported(tmp_path):
    model = LanguageModel(len(WORDS), 4, target="held")
    before = model.embedding.embeddings.numpy()
    figures = set_word_vectors(model, WORDS, write(tmp_path, "glove.txt", FILES["glove.txt"]))
    assert figures == {"words_found": 3, "share_found": 0.5}
    expected = before.copy()
    expected[[2, 3, 5]] = VECTORS[[2, 3, 0]]
    np.testing.assert_array_equal(model.embedding.embeddings, expected)
    np.testing.assert_array_equal(model.target_table, expected)
    assert keras.ops.all(model.output_layer.kernel == model.embedding.embeddings)  # tied


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_dimension_names_both(name, tmp_path):
    path = write(tmp_path, name, FILES[name])
    found, advice = message(path, units=5).split(" Set ")
    assert found == f"{path}: found vectors of 4 numbers, expected 5."
    assert advice == "model.embedding_units (or model.units) to 4, or use vectors of 5."


@pytest.mark.parametrize("name, lost", [("word2vec.bin", 9), ("word2vec.bin", 30), ("word2vec.txt", 60)])
def test_a_file_that_is_cut_short_is_refused(name, lost, tmp_path):
    path = write(tmp_path, name, FILES[name][:-lost])
    assert str(path) in message(path)


def test_a_truncated_binary_is_reported_with_the_place_where_it_ends(tmp_path):
    path = write(tmp_path, "word2vec.bin", FILES["word2vec.bin"][:-9])
    ends = "but the file ends within number 5. Fetch the file again."
    assert message(path) == f"{path}: its first line announces 5 vectors, {ends}"


def test_vectors_beyond_the_announced_number_are_refused(tmp_path):
    more = {"word2vec.txt": b"other 1 2 3 4\n", "word2vec.bin": binary(["other"], VECTORS[:1]).split(b"\n", 1)[1]}
    for name, vector in more.items():
        path = write(tmp_path, name, FILES[name] + vector)
        assert message(path).startswith(f"{path}: its first line announces 5 vectors, ")


def test_a_truncated_gzip_file_is_refused(tmp_path):
    for name in ("glove.txt.gz", "word2vec.bin.gz"):
        path = write(tmp_path, name, FILES[name][:-20])
        assert message(path).startswith(f"{path} cannot be decompressed")
    assert "cannot be decompressed" in message(write(tmp_path, "plain.txt.gz", FILES["glove.txt"]))


def test_a_word_that_is_in_the_file_twice_is_refused(tmp_path):
    content = text() + text(words=["the"], vectors=VECTORS[:1])
    assert "has the word 'the' twice" in message(write(tmp_path, "glove.txt", content))
    double = [*IN_FILE[:4], "of"]
    assert "has the word 'of' twice" in message(write(tmp_path, "word2vec.bin", binary(words=double)))
    assert "has the word 'of' twice" in message(write_array(tmp_path, words=double))


@pytest.mark.parametrize("line", ["the 1 2 3", "the 1 2 3 4 5", "the 1 2 three 4", "the", "the 1 2  4"])
def test_a_bad_line_of_a_word_is_named(line, tmp_path):
    path = write(tmp_path, "glove.txt", b". 1 2 3 4\n" + line.encode() + b"\n")
    assert message(path).startswith(f"{path}, line 2: expected the word 'the' and 4 numbers")


@pytest.mark.parametrize("number", ["nan", "inf", "1e999"])
def test_numbers_that_are_not_finite_are_refused(number, tmp_path):
    path = write(tmp_path, "glove.txt", f"the 1 2 {number} 4\n".encode())
    expected = f"{path}: the vector of 'the' has numbers that are not finite. Correct or remove it."
    assert message(path) == expected


def test_a_binary_file_with_another_ending_is_explained(tmp_path):
    content = binary().split(b"\n", 1)[1]
    assert "names that end in .bin" in message(write(tmp_path, "vectors.txt", content))
    expected = "expected a first line of two numbers, as in word2vec's binary format"
    assert expected in message(write(tmp_path, "glove.bin", FILES["glove.txt"]))


def test_what_is_missing_is_named(tmp_path):
    assert "found no such file" in message(tmp_path / "nothing.txt")
    path = write_array(tmp_path, words=None)
    assert (
        message(path)
        == f"{tmp_path / 'vectors.txt'}: found no such file, expected the words of vectors.npy, one a line."
    )
    assert "is empty" in message(write(tmp_path, "empty.txt", b""))


def test_an_array_and_its_word_list_must_agree(tmp_path):
    path = write_array(tmp_path, words=IN_FILE[:4])
    assert message(path).startswith(
        f"{tmp_path / 'vectors.txt'} has 4 words, vectors.npy 5 vectors; expected the same number."
    )
    assert "has 6 words" in message(write_array(tmp_path, words=[*IN_FILE, "the"]))
    assert "found vectors of 3 numbers" in message(write_array(tmp_path, VECTORS[:, :3]))
    assert "expected numbers [words, 4]" in message(write_array(tmp_path, VECTORS[0]))
    assert "not an array" in message(write(tmp_path, "vectors.npy", b"no array"))


def test_a_vocabulary_with_a_word_twice_is_refused(tmp_path):
    path = write(tmp_path, "glove.txt", FILES["glove.txt"])
    assert "has 3 words, of which only 2 differ" in message(path, words=["the", "of", "the"])
