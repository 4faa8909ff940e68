"""A small training in a process of its own, for tests that need several devices or a program that is killed.

Usage: `python -m tests.models.training_run steps FOLDER REPLICAS`, or `... train FOLDER REPLICAS [KILL]`.
"""

import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from models import checkpoint
from models.devices import make_strategy
from models.distributed_step import make_step
from models.language_model import LanguageModel
from models.recipe import Recipe
from models.token_stream import Lanes, TokenStream, TokenWriter, write_index
from models.training import Training, TrainingStopped, windows

VOCABULARY, UNITS, BATCH, TIME = 60, 12, 8, 6
STEPS = 50


def write_split(folder: Path, ids: np.ndarray) -> TokenStream:
    """A split with these token ids."""
    folder.mkdir(parents=True, exist_ok=True)
    file = "tokens-00000-of-00001"
    with TokenWriter(folder / file) as writer:
        writer.write(np.asarray(ids, np.int32))
    write_index(folder, [(file, writer.counts)])
    return TokenStream(folder)


def some_text(tokens: int, seed: int = 1) -> np.ndarray:
    """Ids in which words predict their successors, and small ids are frequent."""
    generator = np.random.default_rng(seed)
    ids = np.minimum(generator.geometric(0.1, tokens), VOCABULARY - 1)
    ids[1::3] = (ids[::3][: len(ids[1::3])] * 7 + 3) % VOCABULARY
    return ids.astype(np.int32)


def make_model(strategy, units=UNITS, **options) -> LanguageModel:
    keras.utils.set_random_seed(1)
    with strategy.scope():
        return LanguageModel(VOCABULARY, units, **{"init_scale": 0.4, "temperature": 5.0, **options})


def steps(folder: Path, replicas: int):
    """Writes every step's metrics, the last state and the weights, without dropout and with it."""
    strategy = make_strategy(replicas, BATCH)
    lanes = Lanes(write_split(folder / "train", some_text(BATCH * TIME * STEPS)), BATCH)
    recipe = Recipe(batch_size=BATCH, clip_norm=1.0)
    scalars = {"learning_rate": 1.0, "temperature": 5.0, "gamma": 0.65, "embedding_rate": 1.0, "target_rate": 0.0}
    scalars = {key: np.float32(value) for key, value in scalars.items()}
    for dropout in (0.0, 0.5):
        model = make_model(strategy, dropout=dropout)
        step, state, metrics = make_step(model, strategy, recipe), model.zero_state(BATCH), []
        for number, (inputs, targets) in enumerate(windows(lanes, TIME)):
            state, values = step(inputs, targets, state, np.int32(number), scalars)
            metrics.append(values.numpy())
        copies = [[copy.numpy() for copy in strategy.experimental_local_results(v.value)] for v in model.weights]
        weights = {f"weight {v.path}": copy[0] for v, copy in zip(model.weights, copies, strict=True)}
        spread = max(np.abs(part - copy[0]).max() for copy in copies for part in copy)
        np.savez(folder / f"{replicas}-{dropout}.npz", metrics=metrics, state=state, spread=spread, **weights)


def die():
    """What a power cut does: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, replicas: int, kill: str = ""):
    """Trains for three epochs of 45 steps from the last checkpoint, or until it kills itself where `kill` says."""
    strategy = make_strategy(replicas, BATCH)
    data = folder / "data"
    training = Training(
        make_model(strategy, num_layers=1, dropout=0.3),
        strategy,
        write_split(data / "train", some_text(BATCH * TIME * 45)),
        write_split(data / "valid", some_text(300, seed=2)),
        Recipe(batch_size=BATCH, sequence_length=TIME, epochs=3, decay_start_epoch=1, checkpoint_seconds=0.0),
        folder / "checkpoints",
    )
    print("started at", len(training.history) + 1, training.window, flush=True)
    if kill == "while writing in epoch 2":  # at step 40, whose checkpoint follows that of step 20
        write = checkpoint.np.savez

        def write_half(file, **arrays):
            write(file, **arrays)
            if (len(training.history), training.window) == (1, 40):
                file.truncate(file.tell() // 2)
                file.flush()
                die()

        checkpoint.np.savez = write_half
    elif kill == "after epoch 2":
        training.on_epoch = lambda record: die() if record["epoch"] == 2 else None
    elif kill == "stop in epoch 3":
        training.should_stop = lambda: (len(training.history), training.window) == (2, 27)
    try:
        training.run()
    except TrainingStopped:
        return
    records = [{k: v for k, v in r.items() if "second" not in k} for r in training.history]
    np.savez(
        folder / "result.npz",
        history=np.array([list(r.values()) for r in records]),
        best_epoch=training.best_epoch,
        **{f"weight {v.path}": v.numpy() for v in training.model.weights},
        **{f"last {i}": w for i, w in enumerate(training.checkpoint.load("latest")["weights"])},
    )


if __name__ == "__main__":
    command, folder, replicas, *kill = sys.argv[1:]
    {"steps": steps, "train": train}[command](Path(folder), int(replicas), *kill)
