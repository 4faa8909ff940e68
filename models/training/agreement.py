"""What the workers of one training say to each other beside gradients, through TensorFlow's own collectives.

All workers make the same calls in the same order. In a training of one process each call returns what it is given.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.layers.carried_state import CarriedState
from models.training import checkpoint, replicas

PIECE = 2**24  # int32 that are sent at once: 64 MiB


class Agreement:
    """What the workers of a strategy agree on.

    Args:
        strategy: Of the training.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.workers, self.index = replicas.num_workers(strategy), replicas.worker_index(strategy)

        @tf.function(reduce_retracing=True, autograph=False)
        def total(values):
            return strategy.run(self._total_of_workers, args=(values,))

        self._total, self._lanes = total, None

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def any(self, *flags: bool) -> list[bool]:
        """Which of the flags is true for at least one worker."""
        return list(flags) if self.workers == 1 else [bool(n) for n in self._sum(np.array(flags, np.int32))]

    def differing(self, **values: int) -> list[str]:
        """The names of values that are not the same for all workers."""
        if self.workers == 1:
            return []
        table = np.zeros([self.workers, len(values)], np.int32)
        table[self.index] = list(values.values())
        return [name for name, column in zip(values, self._sum(table).T, strict=True) if len(set(column)) > 1]

    def from_chief(self, content: bytes | None) -> bytes | None:
        """What the chief gives; of the others it does not matter."""
        if self.workers == 1:
            return content
        size = -1 if content is None or not self.is_chief else len(content)
        [size] = self._sum(np.array([size if self.is_chief else 0], np.int32))
        if size < 0:
            return None
        sent = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            sent = np.frombuffer(content.ljust(4 * len(sent), b"\0"), np.int32)
        pieces = [self._sum(sent[i : i + PIECE]) for i in range(0, len(sent), PIECE)]
        return b"".join(piece.tobytes() for piece in pieces)[:size]

    def all_lanes(self, state: CarriedState) -> np.ndarray:
        """The carried state of all workers' lanes, in their order."""
        if self.workers == 1:
            return state.numpy()
        if self._lanes is None:
            self._lanes = tf.function(
                lambda: self._strategy.run(lambda: _lanes_and_replica(state.variable)), autograph=False
            )
        values, order = (self._first(result).numpy() for result in self._lanes())
        return np.concatenate(values[np.argsort(order)])

    def restore_lanes(self, state: CarriedState, values: np.ndarray) -> None:
        """Takes this worker's part of what `all_lanes` returned."""
        state.restore(np.split(values, self.workers)[self.index])

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return self._first(self._total(tf.constant(values))).numpy()

    def _first(self, result):
        return self._strategy.experimental_local_results(result)[0]

    def _total_of_workers(self, values):
        """The sum over workers: of each worker the first replica counts."""
        context = tf.distribute.get_replica_context()
        local = context.num_replicas_in_sync // self.workers
        counts = tf.cast(context.replica_id_in_sync_group % local == 0, values.dtype)
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values * counts)


def _lanes_and_replica(variable):
    context = tf.distribute.get_replica_context()
    replica = tf.reshape(tf.cast(context.replica_id_in_sync_group, tf.int32), [1])
    return context.all_gather(variable.read_value()[None], axis=0), context.all_gather(replica, axis=0)


class SharedCheckpoint(checkpoint.Checkpoint):
    """Checkpoints of several workers: the chief alone reads and writes files, and sends the others what it read.

    Args:
        folder: Where; the chief's.
        agreement: Of the workers.
    """

    def __init__(self, folder: str | Path, agreement: Agreement):
        self._agreement = agreement
        if agreement.is_chief:
            super().__init__(folder)

    def save(self, name: str, **values: Any) -> None:
        """As `Checkpoint.save`, on the chief."""
        if self._agreement.is_chief:
            super().save(name, **values)

    def load(self, name: str) -> dict[str, Any] | None:
        """As `Checkpoint.load`, the chief's for all."""
        if self._agreement.workers == 1:
            return super().load(name)
        content = None
        if self._agreement.is_chief and (values := super().load(name)) is not None:
            file = io.BytesIO()
            checkpoint.write(file, values)
            content = file.getvalue()
        content = self._agreement.from_chief(content)
        return None if content is None else checkpoint.read(io.BytesIO(content))
