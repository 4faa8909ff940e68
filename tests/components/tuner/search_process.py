"""A small search in a separate process, for tests that kill it or share it among several.

Usage: `python -m tests.components.tuner.search_process search FOLDER` or `... work FOLDER`; `write` makes the FOLDER.
"""

import json
import sys
import time
import types
from pathlib import Path

import numpy as np

from components.base import Context
from components.trainer.component import Trainer
from components.tuner.component import Tuner

WORDS = 40
SPACE = [
    {"name": "learning_rate", "kind": "choice", "values": [0.3, 0.4, 0.5, 500.0]},
    {"name": "gamma", "kind": "float", "min": 0.1, "max": 1.0, "scale": "log"},
]
DEFAULT = {"units": 8, "num_layers": 1, "dropout": 0.0, "temperature": 5.0, "gamma": 0.5, "learning_rate": 0.3,
           "batch_size": 4, "sequence_length": 10, "epochs": 1, "init_scale": 0.2}  # fmt: skip


def parameters(**changes) -> Tuner.Parameters:
    """The parameters of a search that takes seconds."""
    options = {"algorithm": "random", "max_trials": 4, "space": SPACE, "trainer": DEFAULT} | changes
    return Tuner.Parameters(**options)


def write(folder: Path) -> dict[str, Path]:
    """Writes the inputs: a text in which each word determines the next, and its vocabulary."""
    from models.text.token_stream import TokenWriter, write_index

    generator = np.random.default_rng(1)
    for split, lines in (("train", 120), ("eval", 30)):
        split_dir = folder / "transformed_examples" / f"Split-{split}"
        split_dir.mkdir(parents=True)
        first = generator.integers(0, WORDS, lines)
        ids = np.concatenate([[*((word * 7 + np.arange(5)) % WORDS + 2), 1] for word in first]).astype(np.int32)
        with TokenWriter(split_dir / "tokens-00000-of-00001") as writer:
            writer.write(ids)
        write_index(split_dir, [("tokens-00000-of-00001", writer.counts)])
    vocabulary = folder / "vocabulary"
    vocabulary.mkdir()
    words = ["<unk>", "<eos>", *(f"word{i}" for i in range(WORDS))]
    (vocabulary / "vocabulary.txt").write_text("\n".join(words) + "\n")
    settings = {"tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False}
    (vocabulary / "tokenizer.json").write_text(json.dumps(settings))
    return inputs_of(folder)


def inputs_of(folder: Path) -> dict[str, Path]:
    return {key: folder / key for key in ("transformed_examples", "vocabulary")}


def context_of(folder: Path) -> Context:
    (folder / "work" / "identity").mkdir(parents=True, exist_ok=True)
    return Context("run", folder / "work" / "identity", progress=False)


def outputs_of(folder: Path) -> dict[str, Path]:
    outputs = {"best_hyperparameters": folder / "best_hyperparameters"}
    outputs["best_hyperparameters"].mkdir(exist_ok=True)
    return outputs


def trainer_parameters(**changes) -> Trainer.Parameters:
    return Trainer.Parameters(**DEFAULT | changes)


if __name__ == "__main__":
    from keras_tuner.src.distribute import oracle_chief

    from components.tuner import heartbeat, search_process

    heartbeat.INTERVAL, heartbeat.WORKER_TIMEOUT = 0.2, 4.0
    # Keras Tuner's chief checks every 20 s whether its workers have ended.
    oracle_chief.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.2)))
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "work":
        print(json.dumps(search_process.work(context_of(folder).workspace)))
    else:
        options = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
        figures = search_process.search(
            inputs_of(folder), outputs_of(folder), parameters(**options), context_of(folder)
        )
        print(json.dumps(figures))
