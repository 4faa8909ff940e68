"""The paper's recipes and what each corpus needs, as plain data: dotted configuration key -> value.

A preset is one column of the paper's table of networks (small, medium, large); a profile holds what a corpus needs:
its tokenizer, its vocabulary, its weight of the augmented loss. If both decide a key, the preset wins.
"""

from typing import Any

# The paper's learning rate 1.0 and these clips suit a loss that is summed over the steps and averaged over the batch.
PRESETS: dict[str, dict[str, Any]] = {
    "small": {
        "model.units": 200,
        "model.init_scale": 0.1,
        "trainer.decay_start_epoch": 5,
        "trainer.decay": 0.9,
        "trainer.clip_norm": 5.0,
        "trainer.epochs": 40,
    },
    "medium": {
        "model.units": 650,
        "model.init_scale": 0.05,
        "trainer.decay_start_epoch": 10,
        "trainer.decay": 0.9,
        "trainer.clip_norm": 5.0,
        "trainer.epochs": 50,
    },
    "large": {
        "model.units": 1500,
        "model.init_scale": 0.04,
        "trainer.decay_start_epoch": 1,
        "trainer.decay": 0.97,
        "trainer.clip_norm": 6.0,
        "trainer.epochs": 100,
    },
}
for _preset in PRESETS.values():
    _preset.update({"model.num_layers": 2, "trainer.learning_rate": 1.0})
    _preset.update({"trainer.batch_size": 20, "trainer.sequence_length": 35})

# Probabilities of dropping: one minus the keep probabilities of the paper's code, by the size of the corpus.
DROPOUT = {
    "penn_treebank": {"small": 0.3, "medium": 0.5, "large": 0.65},
    "wikitext": {"small": 0.2, "medium": 0.4, "large": 0.4},
}

_WIKITEXT = {
    "model.preset": "small",
    "vocabulary.tokenizer": "whitespace",
    "vocabulary.lowercase": False,
    "vocabulary.keep_blank_lines": True,  # the published token counts have them
    "vocabulary.max_size": 0,
    "vocabulary.min_count": 1,  # rare words are <unk> in the text already
    "loss.gamma": 1.0,
}

PROFILES: dict[str, dict[str, Any]] = {
    "penn_treebank": {
        "model.preset": "small",
        "vocabulary.tokenizer": "whitespace",
        "vocabulary.lowercase": False,  # lower-cased already; its `N` and `<unk>` are symbols
        "vocabulary.max_size": 10_000,
        "vocabulary.min_count": 1,
    },
    "wikitext2": _WIKITEXT,
    "wikitext103": _WIKITEXT,
    # Less than half the Penn Treebank's size: a short recipe that two cores finish in two minutes.
    "python_docs": {
        "vocabulary.max_size": 8_000,
        "model.units": 128,
        "model.dropout": 0.0,  # two epochs are too few for dropout to pay, and for the gradient through the target
        "loss.gradient_through_target": False,
        "trainer.epochs": 2,
        "trainer.decay_start_epoch": 1,
        "trainer.decay": 0.5,
    },
}
OTHER_TEXT: dict[str, Any] = {"model.preset": "small"}  # `text_files` and every other TFDS name


def profile(dataset: str) -> dict[str, Any]:
    """Returns the keys that the corpus decides.

    Args:
        dataset: `example_gen.dataset`.

    Returns:
        Dotted configuration key -> value.
    """
    return PROFILES.get(dataset, OTHER_TEXT)


def preset(name: str, dataset: str) -> dict[str, Any]:
    """Returns the keys that one of the paper's recipes decides, with the dropout for the corpus.

    Args:
        name: "small", "medium" or "large".
        dataset: `example_gen.dataset`.

    Returns:
        Dotted configuration key -> value.
    """
    column = "wikitext" if dataset.startswith("wikitext") else "penn_treebank"
    return PRESETS[name] | {"model.dropout": DROPOUT[column][name]}
