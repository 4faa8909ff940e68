"""Additions to Keras's `fit` and `evaluate` for several replicas: which lanes each reads, and steps of several workers.

A worker is a process of `MultiWorkerMirroredStrategy`, with one replica or several.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Counts the processes that the replicas of a strategy run in.

    Args:
        strategy: The strategy of the training.

    Returns:
        The number of workers; 1 for a strategy of one process.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return int(strategy.extended._num_workers)


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """Finds which of the workers this process is.

    Args:
        strategy: The strategy of the training.

    Returns:
        The index from 0; the chief is 0.
    """
    return strategy.extended._id_in_cluster if num_workers(strategy) > 1 else 0


def lanes_of_this_worker(
    data: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Makes the data set that this worker reads.

    By itself TensorFlow would let each worker read all lanes, one part of the batch after the other. Lanes are divided
    in order: the first replica of the first worker has the first ones.

    Args:
        data: A data set of windows. If it has `of_lanes`, as those of `models.windows` have, only this worker's lanes
            are read, else all lanes.
        strategy: The strategy whose replicas divide the lanes.

    Returns:
        With one worker `data` itself; with several a distributed data set of this worker's lanes.
    """
    if num_workers(strategy) == 1:
        return data
    lanes = data.element_spec[1].shape[0] // strategy.num_replicas_in_sync  # of a replica
    local = len(strategy.extended.worker_devices)
    first, number = worker_index(strategy) * local * lanes, local * lanes
    if hasattr(data, "of_lanes"):
        part = data.of_lanes(first, number)
    else:
        part = data.map(lambda *window: tf.nest.map_structure(lambda rows: rows[first : first + number], window))
    if local > 1:  # the local replicas read elements in turn
        part = part.map(
            lambda *window: tf.nest.map_structure(
                lambda rows: tf.reshape(rows, [local, lanes, *rows.shape[1:]]), window
            )
        ).unbatch()
    # All workers have the same number of windows. Otherwise TensorFlow would check for the end at every step, and the
    # number of lanes would become unknown.
    strategy.extended.experimental_enable_get_next_as_optional = False
    distributed = strategy.distribute_datasets_from_function(lambda _: part)
    distributed._cardinality = data.cardinality()  # which Keras takes as the number of steps, not of elements
    return distributed


def evaluation_lanes(
    data: tf.data.Dataset, strategy: tf.distribute.Strategy
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Makes the data set that this worker evaluates, with lanes of weight 0 added up to a multiple of the replicas.

    Args:
        data: A data set of `models.windows`, with any number of lanes.
        strategy: The strategy whose replicas divide the lanes.

    Returns:
        What `lanes_of_this_worker` returns for the filled windows.
    """
    lanes, replicas = data.element_spec[1].shape[0], strategy.num_replicas_in_sync
    missing = -lanes % replicas

    def fill(inputs: dict[str, tf.Tensor], targets: tf.Tensor, weights: tf.Tensor) -> tuple[Any, ...]:
        def rows(tensor: tf.Tensor) -> tf.Tensor:
            return tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.shape.rank - 1)])

        filled = {key: rows(value) for key, value in inputs.items()}
        return filled | {"window": tf.fill([lanes + missing], inputs["window"][0])}, rows(targets), rows(weights)

    return lanes_of_this_worker(data.map(fill) if missing else data, strategy)


def make_function(
    step: Callable[..., dict[str, tf.Tensor]], strategy: tf.distribute.Strategy, run_eagerly: bool
) -> Callable[..., dict[str, tf.Tensor]]:
    """Makes the function of a step that Keras's loops call with an iterator.

    Keras's own function fails on several workers, because it reduces each figure along an axis, and figures are
    scalars. Those of a `WindowTraining` are already of the whole batch, equal on every replica.

    Args:
        step: A step of a replica: takes a window of its lanes and returns figures.
        strategy: The strategy of the training.
        run_eagerly: Whether to return a plain function instead of a `tf.function`.

    Returns:
        A function from an iterator of windows to the figures of the step.
    """

    def one_step(iterator: Any) -> Any:
        outputs = strategy.run(step, args=(iterator.get_next(),))
        return tf.nest.map_structure(lambda figure: strategy.experimental_local_results(figure)[0], outputs)

    return one_step if run_eagerly else tf.function(one_step, reduce_retracing=True, autograph=False)
