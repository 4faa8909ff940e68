"""What Keras's `fit` and `evaluate` lack on several replicas: which lanes each has, and steps of several workers.

A worker is a process of `MultiWorkerMirroredStrategy`, with one replica or several.
"""

from collections.abc import Callable

import tensorflow as tf


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that the strategy's replicas are in."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    return strategy.extended._num_workers


def worker_index(strategy: tf.distribute.Strategy) -> int:
    """Which of the workers this process is; the chief is 0."""
    return strategy.extended._id_in_cluster if num_workers(strategy) > 1 else 0


def lanes_of_this_worker(data: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """The windows of the whole batch, or on several workers a distributed data set of this worker's lanes.

    TensorFlow would have each worker read all lanes, one part of the batch after the other. Lanes are divided in order:
    the first worker's first replica has the first ones.

    Args:
        data: Of `models.windows`, whose `of_lanes` reads these lanes alone; of another one all lanes are read.
        strategy: Its replicas divide the lanes.
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
    if local > 1:  # replicas take turns
        part = part.map(
            lambda *window: tf.nest.map_structure(
                lambda rows: tf.reshape(rows, [local, lanes, *rows.shape[1:]]), window
            )
        ).unbatch()
    # All workers have as many windows: else TensorFlow would ask them at every step, and lose the number of lanes.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy.distribute_datasets_from_function(lambda _: part)


def evaluation_lanes(data: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """`lanes_of_this_worker` of windows to evaluate, filled up with lanes of weight 0 to a multiple of the replicas."""
    lanes, replicas = data.element_spec[1].shape[0], strategy.num_replicas_in_sync
    missing = -lanes % replicas

    def fill(inputs, targets, weights):
        def rows(tensor):
            return tf.pad(tensor, [[0, missing], *[[0, 0]] * (tensor.shape.rank - 1)])

        filled = {key: rows(value) for key, value in inputs.items()}
        return filled | {"window": tf.fill([lanes + missing], inputs["window"][0])}, rows(targets), rows(weights)

    return lanes_of_this_worker(data.map(fill) if missing else data, strategy)


def make_function(step: Callable, strategy: tf.distribute.Strategy, run_eagerly: bool) -> Callable:
    """The function of a step that Keras's loops call with an iterator.

    Keras's own fails on several workers: it reduces each figure along an axis, and figures are scalars. Those of a
    `WindowTraining` are of the whole batch already, equal on every replica.
    """

    def one_step(iterator):
        outputs = strategy.run(step, args=(iterator.get_next(),))
        return tf.nest.map_structure(lambda figure: strategy.experimental_local_results(figure)[0], outputs)

    return one_step if run_eagerly else tf.function(one_step, reduce_retracing=True, autograph=False)
