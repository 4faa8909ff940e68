"""The recurrent state that is carried from one window to the next."""

import numpy as np
import tensorflow as tf


class CarriedState:
    """State of the layers after the last window, float `[lanes, layers, 2, units]`, separate for each replica.

    It is not a weight: nothing tracks it, so no `.keras` file, checkpoint of weights or SavedModel has it.

    Args:
        num_layers: Number of LSTM layers of the model.
        units: Size of each layer's h and c.
        dtype: Type of the state, that of the model's weights.

    Attributes:
        variable: The state, `[lanes of a replica, layers, 2, units]` on each replica.
    """

    def __init__(self, num_layers: int, units: int, dtype: str) -> None:
        self.variable = tf.Variable(
            tf.zeros([0, num_layers, 2, units], dtype),
            trainable=False,
            shape=[None, num_layers, 2, units],
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.NONE,
        )

    def read(self, window: tf.Tensor, lanes: int) -> tf.Tensor:
        """Returns the state before a window: zeros before the first window of an epoch.

        Args:
            window: int scalar tensor, the window's index in its epoch.
            lanes: Number of lanes of this replica.

        Returns:
            Float [lanes, layers, 2, units].
        """
        shape = [lanes, *self.variable.shape[1:]]
        kept = self.variable.read_value()
        return tf.ensure_shape(tf.cond(window == 0, lambda: tf.zeros(shape, kept.dtype), lambda: kept), shape)

    def write(self, state: tf.Tensor) -> None:
        """Keeps the state after a window.

        Args:
            state: Float [lanes, layers, 2, units], of this replica's lanes.
        """
        self.variable.assign(state)

    @property
    def _replicas(self) -> list[tf.Variable]:
        return list(getattr(self.variable, "values", [self.variable]))

    @property
    def lanes(self) -> int:
        """Lanes of all replicas of this process whose state is kept; 0 before the first window."""
        return sum(int(tf.shape(part)[0]) for part in self._replicas)

    def numpy(self) -> np.ndarray:
        """Returns the state of all lanes of this process, the first replica's first."""
        return np.concatenate([part.numpy() for part in self._replicas])

    def restore(self, state: np.ndarray) -> None:
        """Restores a state of all lanes of this process.

        Args:
            state: What `numpy` returned.
        """
        for part, lanes in zip(self._replicas, np.split(state, len(self._replicas)), strict=True):
            part.assign(lanes)
