"""Reads what the report shows from a run's artifacts: each function returns one section's data, or None.

A run that failed early has few artifacts; a section without its artifact is left out.
"""

import json
import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from components.artifacts import vocabulary
from components.artifacts.document import Document
from components.artifacts.evaluation import EMBEDDING, EVALUATION, PREDICTIONS, Evaluation
from components.artifacts.model_run import HISTORY
from components.artifacts.splits import split_dir
from components.artifacts.statistics import ANOMALIES, SOURCES, STATISTICS
from pipeline.config.resolve import changed_values
from pipeline.reporting import charts
from pipeline.runner.record import RunRecord

T = TypeVar("T")

SPLIT_NAMES = {"train": "train", "eval": "validation", "test": "test"}
SLICES = {
    "word_frequency": "word's count in training",
    "line_position": "place in the line",
    "line_length": "tokens in the line",
    "line_unknown": "<unk> in the line",
}
CURVES = (  # title, name of each curve -> key in history.json, whether the axis is logarithmic
    ("Perplexity", {"training": "train_perplexity", "validation": "valid_perplexity"}, True),
    ("Loss, nats a token", {"cross-entropy": "cross_entropy", "augmented loss": "augmented_loss"}, False),
    ("Learning rate", {"learning rate": "learning_rate"}, False),
    ("Norm of the gradient, before clipping", {"norm": "gradient_norm"}, False),
    ("Training tokens per second", {"tokens/s": "tokens_per_second"}, False),
)
MAP_TITLE = "Frequent words in the two main directions of the embedding"


class RunArtifacts:
    """The files of a run's output artifacts.

    Args:
        run: The run's record.
    """

    def __init__(self, run: RunRecord):
        self._root = Path(run["root"])
        self._components = {component["name"]: component for component in run["components"]}

    def folder(self, component: str, key: str) -> Path | None:
        """Returns the folder of an output, or None if it does not exist.

        Args:
            component: The component's name.
            key: The output's key.
        """
        output = self._components.get(component, {}).get("outputs", {}).get(key)
        folder = self._root / output["uri"] if output else None
        return folder if folder and folder.is_dir() else None

    def warnings(self, component: str) -> list[str]:
        """Returns the warnings among a component's figures.

        Args:
            component: The component's name.
        """
        return self._components.get(component, {}).get("figures", {}).get("warnings") or []

    def read(self, component: str, key: str, document: Document[T], split: str | None = None) -> T | None:
        """Reads a file of an output.

        Args:
            component: The component's name.
            key: The output's key.
            document: The kind of file.
            split: The split whose file to read, if the output has one for each split.

        Returns:
            The file's contents, or None if it does not exist.

        Raises:
            ComponentError: If the file is damaged.
        """
        folder = self.folder(component, key)
        folder = split_dir(folder, split) if folder and split else folder
        return document.read(folder) if folder and document.is_in(folder) else None


def training(artifacts: RunArtifacts) -> dict | None:
    """Returns the learning curves, or None. A curve whose values are all 0, such as a loss that is off, is left out.

    Args:
        artifacts: The run's artifacts.
    """
    history = artifacts.read("Trainer", "model_run", HISTORY)
    if not history or not history["epochs"]:
        return None
    epochs, best = history["epochs"], history.get("best_epoch")
    drawn = []
    for title, curves, log in CURVES:
        series = {name: [epoch.get(key) for epoch in epochs] for name, key in curves.items()}
        series = {name: values for name, values in series.items() if any(values)}
        if series:
            drawn.append((title, charts.lines(series, f"{title} by epoch", log=log, mark=best)))
    return {"best": epochs[best - 1] if best else None, "num_epochs": len(epochs), "charts": drawn}


def data(artifacts: RunArtifacts) -> dict | None:
    """Returns the splits' statistics, the anomalies, and how much of the text the vocabulary covers, or None.

    Args:
        artifacts: The run's artifacts.
    """
    splits = {name: artifacts.read("StatisticsGen", "statistics", STATISTICS, split)
              for split, name in SPLIT_NAMES.items()}  # fmt: skip
    splits = {name: statistics for name, statistics in splits.items() if statistics}
    if not splits:
        return None
    first = next(iter(splits.values()))["line_length"]
    lengths = {name: np.array(statistics["line_length"]["counts"], float) for name, statistics in splits.items()}
    shares = {name: (counts / max(1.0, counts.sum())).tolist() for name, counts in lengths.items()}
    return {
        "splits": splits,
        "sources": artifacts.read("StatisticsGen", "statistics", SOURCES),
        "anomalies": artifacts.read("ExampleValidator", "anomalies", ANOMALIES),
        "warnings": artifacts.warnings("Transform"),
        "lengths": charts.histogram(
            shares, _bin_labels(first["edges"]), "Share of the lines by number of words", "words in the line"
        ),
        "vocabulary": _vocabulary(artifacts),
    }


def _bin_labels(edges: list[int]) -> list[str]:
    pairs = zip(edges, [*edges[1:], None], strict=True)
    return [f"{low}+" if high is None else str(low) if high - low == 1 else f"{low}–{high - 1}" for low, high in pairs]


def _vocabulary(artifacts: RunArtifacts) -> dict | None:
    folder = artifacts.folder("VocabularyGen", "vocabulary")
    if folder is None:
        return None
    rows, figures = vocabulary.read_counts(folder), vocabulary.FIGURES.read(folder)
    counts = np.sort([count for _, count in rows])[::-1]
    total = max(1, figures["tokens"])
    ranks = np.unique(np.geomspace(1, len(counts), 120).astype(int))
    covered = (counts.cumsum() / total)[ranks - 1]
    frequent = sorted(((count, word.decode("utf-8", "replace")) for word, count in rows), reverse=True)[:12]
    return {
        "size": len(counts),
        "tokens": int(total),
        "coverage": figures["coverage"],
        "rare": int((counts < 5).sum()),
        "frequent": [(word, count) for count, word in frequent],
        "chart": charts.coverage(
            {"train": (ranks.tolist(), covered.tolist())},
            "Share of the training tokens that the most frequent words make up",
            mark=len(counts),
        ),
    }


def evaluation(artifacts: RunArtifacts) -> dict | None:
    """Returns the gate's table and the splits' figures, slices and calibration, or None.

    Args:
        artifacts: The run's artifacts.
    """
    judged = artifacts.read("Evaluator", "evaluation", EVALUATION)
    if not judged:
        return None
    splits = {SPLIT_NAMES[split]: figures for split, figures in judged["splits"].items()}
    curves = {name: figures["calibration"] for name, figures in splits.items() if figures["calibration"]}
    return {
        "blessed": judged["blessed"],
        "rules": judged["rules"],
        "baseline": judged["baseline"],
        "splits": splits,
        "adaptive": judged["adaptive"],
        "subspace_distance": judged["subspace_distance"],
        "slices": _slices(judged),
        "calibration": charts.calibration(curves, "Share right by the probability of the first choice")
        if curves
        else None,  # fmt: skip
    }


def _slices(judged: Evaluation) -> list[dict]:
    """Makes a table for each dimension of the eval split, with the baseline's perplexity if it is known."""
    ours = judged["splits"]["eval"]["slices"]
    theirs = (judged["baseline"] or {}).get("splits", {}).get("eval", {}).get("slices", {})
    tables = []
    for dimension, buckets in ours.items():
        known = [figures["perplexity"] for figures in buckets.values() if figures["perplexity"]]
        widest = math.log(max(known, default=math.e) + 1)
        tables.append(
            {
                "name": SLICES.get(dimension, dimension),
                "rows": [
                    {
                        "bucket": bucket,
                        **figures,
                        "bar": 100 * math.log((figures["perplexity"] or 0) + 1) / widest,
                        "baseline": theirs.get(dimension, {}).get(bucket, {}).get("perplexity"),
                    }
                    for bucket, figures in buckets.items()
                ],
                "against": bool(theirs.get(dimension)),
            }
        )
    return tables


def predictions(artifacts: RunArtifacts) -> list[dict] | None:
    """Returns the ten likeliest next words of the fixed phrases, or None.

    Args:
        artifacts: The run's artifacts.
    """
    contents = artifacts.read("Evaluator", "evaluation", PREDICTIONS)
    return contents["phrases"] if contents else None


def embedding(artifacts: RunArtifacts) -> dict | None:
    """Returns nearest neighbours of words and the map of frequent words, or None.

    Args:
        artifacts: The run's artifacts.
    """
    contents = artifacts.read("Evaluator", "evaluation", EMBEDDING)
    if not contents:
        return None
    return {
        "neighbours": contents["neighbours"],
        "map": charts.words(contents["map"], MAP_TITLE) if contents["map"] else None,
    }


def configuration(run: RunRecord) -> list[dict]:
    """Returns every key with its value and default, and whether they differ.

    Args:
        run: The run's record.
    """
    values, defaults = run.get("configuration", {}), run.get("defaults", {})
    changed = changed_values(values, defaults)
    return [
        {
            "key": key,
            "value": as_text(value),
            "default": as_text(defaults.get(key)),
            "changed": key in changed,
        }
        for key, value in values.items()
    ]


def as_text(value: Any) -> str:
    """Returns a configuration value as JSON text, which a configuration file takes, too.

    Args:
        value: The value.
    """
    return json.dumps(value, ensure_ascii=False)
