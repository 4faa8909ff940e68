"""Word vectors from counts of the training text, for the rows that start from pre-trained vectors.

    python -m experiments.count_vectors --data-dir FOLDER

writes `output/experiments/count_vectors.npy` and, beside it, `count_vectors.txt` with the words. The vectors are the
leading singular vectors of the positive pointwise mutual information of words that are at most `REACH` places apart
(Levy, Goldberg & Dagan 2015), so that they need no text but the one that the model trains on.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from components.base import ComponentError
from components.example_gen import corpora
from experiments import kneser_ney, rows
from models import files
from pipeline.exit_codes import DONE, USAGE_ERROR

UNITS = 200  # d of the small network
REACH = 5  # a pair that is k places apart counts 1 / k
SMOOTHING = 0.75  # exponent of a context's frequency: rare contexts would have the highest information
LENGTH = 0.8  # of each vector: that of 200 numbers uniform in ±0.1, with which training starts otherwise
ITERATIONS = 8  # of the subspace: enough for four digits of the 200th singular value of the Penn Treebank


def information(tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """Returns the positive pointwise mutual information of words (rows) and contexts (columns), float32 [V, V].

    max(0, ln p(w, c) / (p(w) p'(c))), with p'(c) in proportion to the context's frequency to the power of `SMOOTHING`.

    Args:
        tokens: The text, int [n], without a break between lines.
        vocabulary_size: Number of words V.
    """
    counts = np.zeros((vocabulary_size, vocabulary_size), np.float32)
    for distance in range(1, REACH + 1):
        np.add.at(counts, (tokens[:-distance], tokens[distance:]), 1 / distance)
    counts += counts.T.copy()
    word = counts.sum(axis=1, dtype=np.float64)
    context = word**SMOOTHING / (word**SMOOTHING).sum()
    with np.errstate(divide="ignore"):  # ln 0 is -inf, which the maximum makes 0
        np.log(counts, out=counts)
    counts -= np.log(word).astype(np.float32)[:, None]
    counts -= np.log(context).astype(np.float32)[None]
    return np.maximum(counts, 0, out=counts)


def vectors(matrix: np.ndarray, units: int, seed: int = 1) -> np.ndarray:
    """Returns a vector of length `LENGTH` for each row of a matrix, float32 [V, units].

    They are U sqrt(S) of its leading singular values, found by iterating a random subspace (Halko, Martinsson & Tropp
    2011, algorithm 4.4). A row of zeros has the vector zero.

    Args:
        matrix: float32 [V, V].
        units: Number of singular values.
        seed: Seed of the first subspace.
    """
    columns = min(units + 50, len(matrix))  # more than are wanted, since the last ones converge slowest
    basis = np.random.default_rng(seed).standard_normal((len(matrix), columns), np.float32)
    for _ in range(ITERATIONS):
        basis, _ = np.linalg.qr(matrix @ basis)
        basis, _ = np.linalg.qr(matrix.T @ basis)
    basis, _ = np.linalg.qr(matrix @ basis)
    left, values, _ = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    found = (basis @ left[:, :units]) * np.sqrt(values[:units])
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return (LENGTH * found / np.maximum(lengths, 1e-6)).astype(np.float32)


def main(arguments: list[str] | None = None) -> int:
    """Writes the vectors of `ptb.train.txt`.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.count_vectors", description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", metavar="FOLDER", type=Path, required=True, help="folder of ptb.train.txt")
    default = rows.roots(rows.TABLE) / "count_vectors.npy"
    parser.add_argument("--output", metavar="FILE.npy", type=Path, default=default, help=f"default {default.name}")
    parsed = parser.parse_args(arguments)
    try:
        text = kneser_ney.read(corpora.local_files("penn_treebank", parsed.data_dir)["train"])
    except ComponentError as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    ids = {word: place for place, word in enumerate(dict.fromkeys(text))}
    tokens = np.array([ids[word] for word in text], np.int64)
    found = vectors(information(tokens, len(ids)), UNITS)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(parsed.output.with_suffix(".txt"), "".join(f"{word}\n" for word in ids))
    with files.writing(parsed.output) as file:
        np.save(file, found)
    print(f"{len(found):,} vectors of {found.shape[1]} numbers: {parsed.output}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
