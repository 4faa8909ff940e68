"""The paper's Table 3: next words of phrases by a baseline and by REAL, and the probability of frequent words."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts.splits import split_dir
from components.quiet_import import import_quietly
from experiments.records import RecordsError
from models import files
from models.serving import saved_model

# TensorFlow is imported only if there is a model to measure.

FILE = "next_words.json"
PAIRS = (("large_vd", "large_real"), ("medium_vd", "medium_real"), ("small_vd", "small_real"))
WORDS = ("<unk>", "a", "the")
NUM_WORDS = 10
BLOCK = 500  # tokens that are read at once
PHRASES = (
    "the company said its net income rose to",
    "the stock market fell sharply after the government",
    "analysts expect the bank to report a loss in the third",
    "the new york stock exchange said it will",
    "the president of the united",
    "interest rates are expected to",
    "she said the court ruled that the",
    "shares of the airline closed at N in composite",
    "the agency plans to sell its real",
    "prices of crude oil rose because of",
    "the japanese car maker said sales in",
    "investors who bought junk",
)


def measure(saved_model: Path, split: Path) -> dict[str, Any]:
    """Measures a model's next words of the phrases, and its mean probability of frequent words over a text.

    Args:
        saved_model: Folder of the exported model.
        split: Folder of the tokens over which the means are taken.

    Returns:
        `phrases`: for each phrase the ten most probable next words, reserved symbols included, as [word, probability].
        `mean_probability`: for each of `WORDS` in the vocabulary, its mean probability over all tokens of the split.
        `in_text`: the words' shares of the split.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf = import_quietly("tensorflow")
    from components.evaluator.adaptive.trained_model import BLOCK_LOGITS, rebuild, shifted
    from components.evaluator.exported_model import ExportedModel
    from models.text.token_stream import TokenStream
    from models.text.tokenizer import EOS_ID

    model, stream = ExportedModel(saved_model), TokenStream(split)
    rebuilt = rebuild(model)
    words = [word.decode("utf-8", "replace") for word in model.words]
    block = max(1, min(BLOCK, BLOCK_LOGITS // len(words)))

    def probabilities(tokens: np.ndarray, previous: int, state):
        inputs, _ = shifted(tokens, previous)
        hidden, state = rebuilt.hidden_states(tf.constant(inputs), state)
        return tf.nn.softmax(rebuilt.logits(hidden[0])).numpy().astype(np.float64), state

    phrases = []
    for phrase in PHRASES:
        tokens = model.tokenize([phrase.encode()])[0]  # the next word takes the place of its `<eos>`
        next_word = probabilities(tokens, EOS_ID, rebuilt.zero_state(1))[0][-1]
        best = np.argsort(-next_word, kind="stable")[:NUM_WORDS]
        phrases.append([[words[place], round(float(next_word[place]), 4)] for place in best])
    ids = [words.index(word) for word in WORDS if word in words]
    totals, previous, state = np.zeros(len(ids)), EOS_ID, rebuilt.zero_state(1)
    for start in range(0, len(stream), block):
        tokens = stream[start : start + block]
        found, state = probabilities(tokens, previous, state)
        totals += found[:, ids].sum(axis=0)
        previous = int(tokens[-1])
    means = {words[i]: round(float(total) / len(stream), 6) for i, total in zip(ids, totals, strict=True)}
    in_text = {words[i]: round(float(np.mean(stream[:] == i)), 6) for i in ids}
    return {"phrases": phrases, "mean_probability": means, "in_text": in_text}


def refresh(table: Path, runs: list[dict[str, Any]], roots: Path) -> dict[str, Any] | None:
    """Measures the largest pair of finished runs whose models exist, and keeps the comparison.

    Args:
        table: Folder of the results, which keeps the comparison as `next_words.json`.
        runs: The table's runs.
        roots: Folder of the runs' roots, named `<name>-seed<seed>`.

    Returns:
        The comparison: the new one, or the kept one if no models exist; None if there is neither.

    Raises:
        RecordsError: If the kept one is damaged.
    """
    kept = table / FILE
    known = _read(kept)
    for pair in PAIRS:
        own = [run for name in pair for run in runs if (run["name"], run["seed"]) == (name, 1)]
        paths = [_newest(roots, run) for run in own]
        if len(paths) != 2 or None in paths:
            continue
        comparison = {"models": [{key: run[key] for key in ("name", "seed", "commit")} for run in own]}
        if known and known["models"] == comparison["models"]:
            return known
        measured = [measure(*model_and_split) for model_and_split in paths]
        comparison["phrases"] = [
            {"phrase": phrase, "words": [model["phrases"][i] for model in measured]} for i, phrase in enumerate(PHRASES)
        ]
        comparison["mean_probability"] = {
            word: {"in_text": share, "models": [model["mean_probability"][word] for model in measured]}
            for word, share in measured[0]["in_text"].items()
        }
        files.write_text(kept, json.dumps(comparison, indent=1) + "\n")
        return comparison
    return known


def _read(path: Path) -> dict[str, Any] | None:
    """Returns the comparison that is kept, or None if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        content = None
    if not _is_comparison(content):
        raise RecordsError(
            f"{path} is damaged. Restore it (git checkout {path}), or remove it to measure the models again."
        )
    return content


def _is_comparison(content: Any) -> bool:
    """Whether a file's content has what the tables show."""
    try:
        for model in content["models"]:
            _ = model["name"], model["seed"], model["commit"]
        for item in content["phrases"]:
            _ = item["phrase"], [[f"{word} {p:.2f}" for word, p in words] for words in item["words"]]
        for shares in content["mean_probability"].values():
            _ = f"{shares['in_text']:.4f}", [f"{share:.4f}" for share in shares["models"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True


def _newest(roots: Path, run: dict[str, Any]) -> tuple[Path, Path] | None:
    """Returns a finished run's exported model and its eval split, or None if they do not exist."""
    root = roots / f"{run['name']}-seed{run['seed']}"
    eval_splits = split_dir(Path("Transform/transformed_examples/*"), "eval")
    models = [path for path in root.glob(f"Trainer/model/*/{saved_model.EXPORT}") if path.parent.name.isdecimal()]
    splits = [path for path in root.glob(str(eval_splits)) if path.parent.name.isdecimal()]
    if run["status"] != "finished" or not models or not splits:
        return None
    return tuple(max(paths, key=lambda path: int(path.parent.name)) for paths in (models, splits))
