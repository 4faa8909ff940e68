"""Vectors of counts against their definition, computed pair by pair with dictionaries, and against NumPy's own SVD."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from experiments import count_vectors
from models.text.word_vectors import load_word_vectors
from pipeline.exit_codes import DONE, USAGE_ERROR
from tests.experiments.tiny_table import WORDS, write_corpus


@pytest.fixture(scope="module")
def tokens():
    generator = random.Random(1)
    return generator.choices(range(40), [1 / (word + 1) for word in range(40)], k=2000)


def direct_information(tokens, vocabulary_size):
    pairs = Counter()
    for i, word in enumerate(tokens):
        for j in range(max(0, i - 5), min(len(tokens), i + 6)):
            if j != i:
                pairs[word, tokens[j]] += 1 / abs(i - j)
    total = sum(pairs.values())
    of_word = Counter()
    for (word, _), count in pairs.items():
        of_word[word] += count
    smoothed = {word: count**0.75 for word, count in of_word.items()}
    matrix = np.zeros((vocabulary_size, vocabulary_size))
    for (word, context), count in pairs.items():
        expected = of_word[word] / total * smoothed[context] / sum(smoothed.values())
        matrix[word, context] = max(0.0, math.log(count / total / expected))
    return matrix


def test_the_information_of_each_pair(tokens):
    found = count_vectors.information(np.array(tokens), 40)
    np.testing.assert_allclose(found, direct_information(tokens, 40), atol=2e-5)


def test_the_vectors_are_the_leading_singular_vectors_at_one_length(tokens):
    matrix = direct_information(tokens, 40)
    left, values, _ = np.linalg.svd(matrix)
    expected = left[:, :8] * np.sqrt(values[:8])
    expected *= 0.8 / np.linalg.norm(expected, axis=1, keepdims=True)
    found = count_vectors.vectors(matrix.astype(np.float32), 8)
    assert found.shape == (40, 8)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)  # the same up to a rotation


def test_the_command_writes_what_training_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(count_vectors, "UNITS", 6)
    folder, output = write_corpus(tmp_path / "corpus"), tmp_path / "new" / "vectors.npy"
    assert count_vectors.main(["--data-dir", str(folder), "--output", str(output)]) == DONE
    assert "11 vectors of 6 numbers" in capsys.readouterr().out
    rows, vectors = load_word_vectors(output, ["<unk>", "<eos>", *WORDS], 6)
    assert rows.tolist() == list(range(1, 12))  # all but <unk>, which the text lacks
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 0.8, rtol=1e-5)


def test_a_folder_without_the_corpus(tmp_path, capsys):
    assert count_vectors.main(["--data-dir", str(tmp_path), "--output", str(tmp_path / "v.npy")]) == USAGE_ERROR
    assert f"{tmp_path} is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
