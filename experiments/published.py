"""The published figures that the tables are compared with: validation and test perplexity by a run's corpus and row."""

from collections.abc import Iterable
from typing import Any

PENN_TREEBANK, WIKITEXT2 = "penn_treebank", "wikitext2"
TITLES = {PENN_TREEBANK: "Penn Treebank", WIKITEXT2: "WikiText-2"}
# Inan et al. 2017, tables 1 and 2.
PAPER = {
    PENN_TREEBANK: {
        "small_vd": (92.6, 87.3),
        "small_al": (86.3, 82.9),
        "small_re": (89.9, 85.1),
        "small_real": (86.3, 82.7),
        "medium_vd": (82.0, 77.7),
        "medium_al": (77.4, 74.7),
        "medium_re": (77.1, 73.9),
        "medium_real": (75.7, 73.2),
        "large_vd": (76.8, 72.6),
        "large_al": (74.5, 71.2),
        "large_re": (72.5, 69.0),
        "large_real": (71.1, 68.5),
    },
    WIKITEXT2: {
        "small_al": (110.3, 103.8),
        "small_re": (106.1, 100.5),
        "small_real": (105.6, 98.9),
        "medium_al": (98.8, 93.1),
        "medium_re": (92.3, 87.7),
        "medium_real": (91.5, 87.0),
    },
}
ROWS = tuple(PAPER[PENN_TREEBANK])  # in the paper's order
COUNT_MODEL = "kneser_ney_5"
OTHERS = {
    PENN_TREEBANK: {
        # Mikolov's KN5.
        COUNT_MODEL: (None, 141.2),
        # Melis et al. 2018: one layer, 10 M parameters, the best of a large search, trained for about 240 epochs.
        "melis_1194": (None, 59.6),
    }
}


def corpus(run: dict[str, Any]) -> str:
    """Returns the dataset's name of a run; that of the Penn Treebank if the run's record does not have one.

    Args:
        run: The run's record.
    """
    return run.get("corpus", {}).get("dataset", PENN_TREEBANK)


def perplexities(run: dict[str, Any]) -> tuple[float | None, float | None]:
    """Returns the published perplexities of a run's row, on its corpus.

    A variant is compared with the row of the paper that its name begins with: `small_real_recipe` with `small_real`.

    Args:
        run: The run's record.

    Returns:
        Validation and test perplexity, None if not published.
    """
    dataset = corpus(run)
    known = PAPER.get(dataset, {}) | OTHERS.get(dataset, {})
    row = begins_with(run["name"], known)
    return known[row] if row else (None, None)


def begins_with(name: str, rows: Iterable[str]) -> str | None:
    """Returns the row that a variant's name begins with, or None; the longest one if there are several.

    Args:
        name: The variant's name, or a row's.
        rows: Names of rows.
    """
    return max((row for row in rows if name == row or name.startswith(f"{row}_")), key=len, default=None)
