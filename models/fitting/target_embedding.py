"""The callback that renews the copy of the embedding which a model with `target` "held" or "average" learns from."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


class TargetEmbedding(keras.callbacks.Callback):
    """Renews the copy of the embedding that the estimated target distribution is made from.

    Args:
        interval: Steps between two renewals of a "held" copy. Default 500.
        decay: Share of itself that an "average" copy keeps at every step, in [0, 1). Default 0.999.

    Raises:
        ValueError: If `interval` or `decay` is out of its range, or, when training begins, if the model has no copy.
    """

    def __init__(self, interval: int = 500, decay: float = 0.999) -> None:
        super().__init__()
        if interval < 1:
            raise ValueError(f"interval: found {interval}, expected at least 1.")
        if not 0 <= decay < 1:
            raise ValueError(f"decay: found {decay}, expected at least 0 and less than 1.")
        self._interval, self._decay = interval, decay

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Checks that the model has a copy.

        Args:
            logs: Ignored.

        Raises:
            ValueError: If it has none.
        """
        if self.model.target_table is None:
            raise ValueError(
                f"callbacks: TargetEmbedding needs target='held' or 'average', found {self.model.target!r}."
            )

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Renews the copy after the step, where it is due.

        Args:
            batch: Ignored: `steps_done` of the model counts the steps.
            logs: Ignored.
        """
        table, embedding = self.model.target_table, self.model.embedding.embeddings
        if self.model.target == "average":
            table.assign(table + (1.0 - self._decay) * (tf.convert_to_tensor(embedding) - table))
        elif self.model.steps_done % self._interval == 0:
            table.assign(embedding)


def check_renewed(target: str, callbacks: Any) -> None:
    """Checks that training renews the copy of the embedding.

    Args:
        target: The model's `target`.
        callbacks: The argument of `fit`: a callback, a list of them, which may hold lists, a
            `keras.callbacks.CallbackList` or None.

    Raises:
        ValueError: If the model has a copy and no callback renews it.
    """
    given = keras.tree.flatten(getattr(callbacks, "callbacks", callbacks))
    if target != "current" and not any(isinstance(callback, TargetEmbedding) for callback in given):
        raise ValueError(
            f"callbacks: nothing renews the copy of the embedding that target={target!r} learns from. Add "
            "models.TargetEmbedding()."
        )
