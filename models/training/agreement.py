"""Messages between the workers of one training other than gradients, through TensorFlow's own collectives.

All workers make the same calls in the same order. In a training of one process each call returns its own arguments.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from models.fitting import replicas
from models.layers.carried_state import CarriedState
from models.training import checkpoint

PIECE = 2**24  # int32 that are sent at once: 64 MiB


class Agreement:
    """Values that the workers of a strategy share.

    Args:
        strategy: The strategy that the training runs in.

    Attributes:
        workers: Number of worker processes.
        index: Which of the workers this process is, from 0.
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
        """Whether this worker is the chief, the first one."""
        return self.index == 0

    def any(self, *flags: bool) -> list[bool]:
        """Finds the flags that are true for at least one worker.

        Args:
            *flags: This worker's flags.

        Returns:
            A bool for each flag, the same on all workers.
        """
        return list(flags) if self.workers == 1 else [bool(n) for n in self._sum(np.array(flags, np.int32))]

    def differing(self, **values: int) -> list[str]:
        """Finds the values that are not the same on all workers.

        Args:
            **values: This worker's values by name, 64 bits each.

        Returns:
            The names of those that differ, the same on all workers.
        """
        if self.workers == 1:
            return []
        table = np.zeros([self.workers, len(values)], np.int64)
        table[self.index] = list(values.values())
        table = self._sum(table.view(np.int32)).view(np.int64)
        return [name for name, column in zip(values, table.T, strict=True) if len(set(column)) > 1]

    def from_chief(self, content: bytes | None) -> bytes | None:
        """Sends bytes from the chief to all workers.

        Args:
            content: What the chief sends, or None for nothing. The argument of the other workers is ignored.

        Returns:
            The chief's content, on all workers.
        """
        if self.workers == 1:
            return content
        size = -1 if content is None else len(content)
        [size] = self._sum(np.array([size if self.is_chief else 0], np.int64).view(np.int32)).view(np.int64).tolist()
        if size < 0:
            return None
        sent = np.zeros(-(-size // 4), np.int32)
        if self.is_chief:
            sent = np.frombuffer(content.ljust(4 * len(sent), b"\0"), np.int32)
        pieces = [self._sum(sent[i : i + PIECE]) for i in range(0, len(sent), PIECE)]
        return b"".join(piece.tobytes() for piece in pieces)[:size]

    def all_lanes(self, state: CarriedState) -> np.ndarray:
        """Collects the carried state of all workers' lanes.

        Args:
            state: This worker's carried state.

        Returns:
            Float [lanes of the whole batch, layers, 2, units], in the order of the lanes.
        """
        if self.workers == 1:
            return state.numpy()
        if self._lanes is None:
            self._lanes = tf.function(
                lambda: self._strategy.run(lambda: _lanes_and_replica(state.variable)), autograph=False
            )
        values, order = (self._first(result).numpy() for result in self._lanes())
        return np.concatenate(values[np.argsort(order)])

    def restore_lanes(self, state: CarriedState, values: np.ndarray) -> None:
        """Restores this worker's part of what `all_lanes` returned.

        Args:
            state: This worker's carried state, which is changed.
            values: The state of all workers' lanes.
        """
        state.restore(np.split(values, self.workers)[self.index])

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return self._first(self._total(tf.constant(values))).numpy()

    def _first(self, result):
        return self._strategy.experimental_local_results(result)[0]

    def _total_of_workers(self, values):
        """The sum over workers: only the first replica of each worker is counted."""
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
        folder: The chief's folder of snapshots; the other workers do not use it.
        agreement: The connection between the workers.
    """

    def __init__(self, folder: str | Path, agreement: Agreement):
        self._agreement = agreement
        if agreement.is_chief:
            super().__init__(folder)

    def save(self, name: str, **values: Any) -> None:
        """Writes a snapshot on the chief, as `Checkpoint.save` does; the other workers write nothing.

        Args:
            name: Name of the snapshot, which is replaced.
            **values: Arrays, lists of arrays, or what JSON can hold.
        """
        if self._agreement.is_chief:
            super().save(name, **values)

    def load(self, name: str) -> dict[str, Any] | None:
        """Loads the chief's snapshot on all workers, as `Checkpoint.load` does.

        Args:
            name: Name of the snapshot.

        Returns:
            Its values, the same on all workers; None where the chief has none.
        """
        if self._agreement.workers == 1:
            return super().load(name)
        content = None
        if self._agreement.is_chief and (values := super().load(name)) is not None:
            file = io.BytesIO()
            checkpoint.write(file, values)
            content = file.getvalue()
        content = self._agreement.from_chief(content)
        return None if content is None else checkpoint.read(io.BytesIO(content))
