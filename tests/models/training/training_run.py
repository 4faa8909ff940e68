"""A small training in a separate process, for tests that need several devices or a program that is killed.

Usage: `python -m tests.models.training.training_run steps FOLDER REPLICAS`, or `... train FOLDER REPLICAS [END]`.
"""

import os
import resource
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from models.language_model import LanguageModel
from models.settings import Recipe
from models.text.token_stream import TokenStream, TokenWriter, write_index
from models.text.windows import windows
from models.training.devices import make_strategy
from models.training.resumable import Training, compile_model
from models.training.resumable_epochs import TrainingStopped

VOCABULARY, UNITS, BATCH, TIME = 60, 12, 8, 6
STEPS = 50
DROPPED = {
    "nothing": {},
    "hidden states": {"dropout": 0.5},
    "everything": {
        "embedding_units": 9,
        "dropout": 0.2,
        "input_dropout": 0.3,
        "output_dropout": 0.4,
        "embedding_dropout": 0.2,
        "weight_dropout": 0.3,
        "activation_regularization": 2.0,
        "temporal_activation_regularization": 1.0,
    },
}


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


def make_model(strategy, recipe: Recipe | None = None, units=UNITS, **options) -> LanguageModel:
    """A model with the same weights at every call, compiled for the recipe where there is one."""
    keras.utils.set_random_seed(1)
    if options.get("augmented", True):
        options = {"temperature": 5.0} | options
    with strategy.scope():
        model = LanguageModel(VOCABULARY, units, **{"init_scale": 0.4} | options)
    if recipe is not None:
        compile_model(model, recipe)
    return model


class EachStep(keras.callbacks.Callback):
    """Keeps the metrics of each step by itself: those of an epoch are no use after it.

    Attributes:
        steps: A dict of the metrics for each step.
    """

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append({name: float(value) for name, value in logs.items()})
        self.model.reset_metrics()

    def __getitem__(self, name) -> np.ndarray:
        return np.array([step[name] for step in self.steps])


def steps(folder: Path, replicas: int):
    """Writes every step's metrics, the last state and the weights, for each of `DROPPED`."""
    strategy = make_strategy(replicas, BATCH)
    data = windows(write_split(folder / "train", some_text(BATCH * TIME * STEPS)), BATCH, TIME)
    recipe = Recipe(batch_size=BATCH, clip_norm=1.0, weight_decay=1e-3, ema=0.9)
    for name, options in DROPPED.items():
        model, seen = make_model(strategy, recipe, **options), EachStep()
        model.fit(data, callbacks=[seen], verbose=0)
        copies = [[copy.numpy() for copy in strategy.experimental_local_results(v.value)] for v in model.weights]
        weights = {f"weight {v.path}": copy[0] for v, copy in zip(model.weights, copies, strict=True)}
        spread = max(np.abs(part - copy[0]).max() for copy in copies for part in copy)
        metrics = {key: seen[key] for key in ("loss", "augmented_loss", "gradient_norm")}
        state = model.carried_state.numpy()
        np.savez(folder / f"{replicas}-{name}.npz", state=state, spread=spread, **metrics, **weights)


def die():
    """What a power cut does: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(file: Path):
    """Has the kernel kill this process as soon as a file has grown to half the size of `file`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size // 2,) * 2)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it


class DieAfterEpoch(keras.callbacks.Callback):
    def __init__(self, epoch: int):
        super().__init__()
        self._epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self._epoch:
            die()


def train(folder: Path, replicas: int, end: str = ""):
    """Trains for three epochs of 45 steps from the last checkpoint, or to another end."""
    strategy = make_strategy(replicas, BATCH)
    recipe = Recipe(batch_size=BATCH, sequence_length=TIME, epochs=3, decay_start_epoch=1, checkpoint_seconds=1e-9)

    def should_stop() -> bool:
        """Called after each step, before its checkpoint."""
        place = len(training.history), training.window
        if (end, place) == ("killed while writing in epoch 2", (1, 40)):
            die_while_writing(folder / "checkpoints" / "latest.npz")
        return (end, place) == ("stopped in epoch 3", (2, 27))

    training = Training(
        make_model(strategy, recipe, num_layers=1, dropout=0.3),
        write_split(folder / "data" / "train", some_text(BATCH * TIME * 45)),
        write_split(folder / "data" / "valid", some_text(300, seed=2)),
        recipe,
        folder / "checkpoints",
        callbacks=[DieAfterEpoch(2)] if end == "killed after epoch 2" else [],
        should_stop=should_stop,
    )
    print("started at", len(training.history) + 1, training.window, flush=True)
    try:
        training.run()
    except TrainingStopped:
        return
    records = [{k: v for k, v in r.items() if "second" not in k} for r in training.history]
    with np.load(folder / "checkpoints" / "latest.npz") as latest:
        last = {f"last {key}": latest[key] for key in latest.files if key.startswith(("variables", "state"))}
    np.savez(
        folder / "result.npz",
        history=np.array([list(r.values()) for r in records]),
        best_epoch=training.best_epoch,
        **{f"weight {v.path}": v.numpy() for v in training.model.weights},
        **last,
    )


if __name__ == "__main__":
    command, folder, replicas, *end = sys.argv[1:]
    {"steps": steps, "train": train}[command](Path(folder), int(replicas), *end)
