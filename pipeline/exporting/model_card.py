"""The card of an exported model: `README.md`, which begins with the Hub's metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from components.artifacts.splits import EVALUATED_SPLITS
from pipeline.exporting.pushed_model import PushedModel

TEMPLATES = Path(__file__).parent / "templates"
PATHS = ("initial_model", "pretrained_embeddings")  # paths in the recipe; the card has only their last part
# The Hub's metadata about known corpora. `id` is the data set's id on the Hub, or its name.
CORPORA = {
    "penn_treebank": {
        "name": "Penn Treebank (words, as T. Mikolov prepared it)",
        "id": "ptb-text-only/ptb_text_only",
        "language": ["en"],
        "license": "other",
        "license_name": "ldc-user-agreement",
    },
    "wikitext2": {
        "name": "WikiText-2",
        "id": "Salesforce/wikitext",
        "language": ["en"],
        "license": ["cc-by-sa-3.0", "gfdl"],
    },
    "wikitext103": {
        "name": "WikiText-103",
        "id": "Salesforce/wikitext",
        "language": ["en"],
        "license": ["cc-by-sa-3.0", "gfdl"],
    },
    "python_docs": {
        "name": "the documentation that ships with Python",
        "id": "python_docs",
        "language": ["en"],
        "license": "other",
        "license_name": "psf-2.0",
    },
}
Figures = Mapping[str, Mapping[str, float]]


def hub(pushed: PushedModel, model: Any, figures: Figures) -> str:
    """Writes the card for the Hub's layout.

    Args:
        pushed: The pushed version.
        model: Its `LanguageModel`.
        figures: Split -> `tokens`, `perplexity` and its interval `low` to `high`; empty if they were not measured.

    Returns:
        The card's text.
    """
    values = {split: measured["perplexity"] for split, measured in figures.items()}
    return _card("hub", pushed, model, figures, values, {})


def litert(pushed: PushedModel, model: Any, figures: Figures, weights: str) -> str:
    """Writes the card for the files for devices.

    Args:
        pushed: The pushed version.
        model: Its `LanguageModel`.
        figures: Split -> `tokens`, `perplexity` and its interval `low` to `high`, with `on_device`, the perplexity
            through the LiteRT interpreter, and its relative `change`.
        weights: "float32", "float16" or "int8".

    Returns:
        The card's text.
    """
    values = {split: measured["on_device"] for split, measured in figures.items()}
    return _card("litert", pushed, model, figures, values, {"weights": weights})


def _card(kind: str, pushed: PushedModel, model, figures: Figures, values: Mapping[str, float], further: dict) -> str:
    dataset = pushed.parameters.get("ExampleGen", {}).get("dataset")
    other = {"name": dataset or "unknown", "id": dataset or "unknown", "license": "unknown"}
    corpus = CORPORA.get(dataset, other)
    name = f"tied-lstm-{dataset or 'model'}-{model.units}".replace("/", "-").replace("_", "-")
    recipe = {key: value for key, value in pushed.card["recipe"].items() if value is not None}
    recipe |= {key: Path(recipe[key]).name for key in PATHS if key in recipe}
    judged = (pushed.evaluation or {}).get("splits", {})
    both = {split: {**judged.get(split, {}), **figures.get(split, {})} for split in EVALUATED_SPLITS}
    splits = {split: measured for split, measured in both.items() if measured}
    if not values:
        values = {split: measured["perplexity"] for split, measured in splits.items()}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701  (Markdown)
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"count": lambda value: f"{value:,}", "percent": lambda value: f"{value:.1%}"}
    return environment.get_template("model_card.md.j2").render(
        kind=kind,
        header=_header(kind, name, dataset, corpus, values),
        name=name,
        pushed=pushed,
        model=model,
        parameters=model.count_params(),
        corpus=corpus,
        dataset=dataset,
        splits=splits,
        recipe=json.dumps(recipe, indent=2),
        **further,
    )


def _header(kind: str, name: str, dataset: str | None, corpus: Mapping[str, Any], values: Mapping[str, float]) -> str:
    """Returns the metadata that the Hub reads, as YAML."""
    about_corpus = {key: corpus[key] for key in ("license", "license_name", "language") if key in corpus}
    results = [
        {
            "task": {"type": "text-generation", "name": "Language modeling"},
            "dataset": {
                "name": corpus["name"],
                "type": corpus["id"],
                "split": "validation" if split == "eval" else split,
            },
            "metrics": [{"type": "perplexity", "name": "Perplexity (words)", "value": round(value, 6)}],
        }
        for split, value in values.items()
    ]
    header = {
        **about_corpus,
        "library_name": "keras" if kind == "hub" else "tflite",
        "pipeline_tag": "text-generation",
        "tags": ["language-model", "lstm", "tied-embeddings", *(["litert", "on-device"] if kind == "litert" else [])],
        "datasets": [corpus["id"]] if dataset else [],
        "metrics": ["perplexity"],
        "model-index": [{"name": name, "results": results}],
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=120)
