"""The recurrent state that windows hand to each other."""

import numpy as np
import tensorflow as tf


class CarriedState:
    """State of the layers after the last window, float `[lanes, layers, 2, units]`, apart for each replica.

    It is no weight: nothing tracks it, so it is in no `.keras` file, checkpoint of weights or SavedModel.

    Args:
        num_layers, units: Of the model.
        dtype: Of the state.

    Attributes:
        variable: The state, `[lanes of a replica, layers, 2, units]` on each.
    """

    def __init__(self, num_layers: int, units: int, dtype):
        self.variable = tf.Variable(
            tf.zeros([0, num_layers, 2, units], dtype),
            trainable=False,
            shape=[None, num_layers, 2, units],
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.NONE,
        )

    def read(self, window, lanes: int):
        """The state before a window: zeros before an epoch's first one.

        Args:
            window: int scalar tensor, the window's index in its epoch.
            lanes: Of this replica.
        """
        shape = [lanes, *self.variable.shape[1:]]
        kept = self.variable.read_value()
        return tf.ensure_shape(tf.cond(window == 0, lambda: tf.zeros(shape, kept.dtype), lambda: kept), shape)

    def write(self, state) -> None:
        """Keeps the state after a window, of this replica's lanes."""
        self.variable.assign(state)

    @property
    def _replicas(self) -> list[tf.Variable]:
        return list(getattr(self.variable, "values", [self.variable]))

    @property
    def lanes(self) -> int:
        """Lanes of all replicas of this process whose state is kept; 0 before the first window."""
        return sum(int(tf.shape(part)[0]) for part in self._replicas)

    def numpy(self) -> np.ndarray:
        """The state of all lanes of this process, the first replica's first."""
        return np.concatenate([part.numpy() for part in self._replicas])

    def restore(self, state: np.ndarray) -> None:
        """Takes a state of all lanes, as `numpy` returned it."""
        for part, lanes in zip(self._replicas, np.split(state, len(self._replicas)), strict=True):
            part.assign(lanes)
