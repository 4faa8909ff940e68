"""Twenty steps of `fit` in float64 on several devices, in a separate process: `... REPLICAS DROPOUT FOLDER`."""

import sys
from pathlib import Path

import keras
import numpy as np

from models import LanguageModel, windows
from models.training.devices import make_strategy
from tests.models.training.training_run import some_text

VOCABULARY, UNITS, BATCH, TIME, STEPS = 60, 6, 4, 5, 20
CLIP, RATE = 0.5, 0.75  # Keras keeps the rate in float32: one that is exact there


def text():
    return some_text(BATCH * TIME * STEPS)


def main(replicas: int, dropout: float, folder: Path):
    strategy = make_strategy(replicas, BATCH)
    keras.utils.set_random_seed(2)
    with strategy.scope():
        model = LanguageModel(VOCABULARY, UNITS, dropout=dropout, init_scale=0.4, temperature=5.0, dtype="float64")
        model.compile(keras.optimizers.SGD(RATE, global_clipnorm=CLIP))
    before = model.get_weights()
    losses, norms = [], []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["loss"])
            norms.append(logs["gradient_norm"])
            self.model.reset_metrics()

    model.fit(windows(text(), BATCH, TIME), callbacks=[Watch()], verbose=0)
    drawn = [model.training_masks(BATCH, range(BATCH), np.int32(step)) for step in range(STEPS)]
    masks = [[mask.numpy() for mask in (step.inputs, *step.hidden)] for step in drawn]
    weights = {f"{part} {i}": w for part, ws in (("before", before), ("after", model.get_weights()))
               for i, w in enumerate(ws)}  # fmt: skip
    np.savez(folder / "result.npz", losses=losses, norms=norms, masks=masks, **weights)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
