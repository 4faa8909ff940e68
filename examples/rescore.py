"""Rescores the candidates of a speech recogniser or a translator with a pushed model, and prints the best of each.

    python examples/rescore.py MODEL CANDIDATES [WEIGHT]

MODEL is a pushed version, such as output/serving/1. CANDIDATES is a text file with a candidate a line, three columns
separated by tabs: the name of the recording, the recogniser's score (a natural logarithm), the text. Blank lines are
left out. WEIGHT is the factor of the language model's score in the sum of both scores (default: 0.5).

It needs tensorflow and tensorflow-text, and nothing of this project. To score every line of a large file instead, use
`python -m pipeline.score`.
"""

import collections
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations of the model's tokenizer)

BATCH_SIZE = 32


def read_candidates(path: str) -> list[tuple[str, float, str]]:
    """Reads the candidates.

    Args:
        path: The text file.

    Returns:
        (name of the recording, the recogniser's score, text) of each.

    Raises:
        ValueError: If a line has other columns.
    """
    rows = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            name, score, text = line.split("\t")
            rows.append((name, float(score), text))
        except ValueError:
            expected = "a name, a score and a text, separated by tabs"
            raise ValueError(f"{path}, line {number}: found {line[:100]!r}; expected {expected}.") from None
    return rows


def log_probabilities(model_dir: str, texts: list[str]) -> list[float]:
    """Computes the natural logarithm of each text's probability, by the model's signature `score`.

    Args:
        model_dir: Folder of a pushed version.
        texts: The texts.

    Returns:
        A logarithm for each text.
    """
    score = tf.saved_model.load(model_dir).signatures["score"]
    scores = []
    for start in range(0, len(texts), BATCH_SIZE):
        batch = tf.constant(texts[start : start + BATCH_SIZE])
        scores += score(text=batch)["log_probability"].numpy().tolist()
    return scores


def main() -> None:
    """Prints the best candidate of each recording, with its total score."""
    if not 3 <= len(sys.argv) <= 4:
        sys.exit("usage: python examples/rescore.py MODEL CANDIDATES [WEIGHT]")
    weight = float(sys.argv[3]) if len(sys.argv) == 4 else 0.5
    try:
        rows = read_candidates(sys.argv[2])
    except ValueError as error:
        sys.exit(str(error))
    scores = log_probabilities(sys.argv[1], [text for _, _, text in rows])

    candidates = collections.defaultdict(list)
    for (name, first_score, text), score in zip(rows, scores, strict=True):
        candidates[name].append((first_score + weight * score, text))
    for name, scored in candidates.items():
        total, text = max(scored)
        print(f"{name}\t{total:.3f}\t{text}")


if __name__ == "__main__":
    main()
