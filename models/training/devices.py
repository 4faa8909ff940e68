"""The devices that training runs on, and the precision that is chosen for them."""

import json
import logging
import os
from pathlib import Path

import tensorflow as tf

CPU_INFORMATION = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}  # processors with one of these flags multiply bfloat16


def make_strategy(replicas: int | None, batch_size: int) -> tf.distribute.MirroredStrategy:
    """Makes the strategy of one process: over GPUs, or over logical CPU devices where there is no GPU.

    Must be called before TensorFlow has initialised its devices.

    Args:
        replicas: Number of devices. None takes all GPUs, or as many as `batch_size` divides among; without GPUs one
            CPU device.
        batch_size: Lanes of the global batch.

    Returns:
        The strategy, over `replicas` devices.

    Raises:
        ValueError: If `batch_size` does not divide among `replicas`, or there are fewer GPUs than that.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if replicas is not None and batch_size % replicas:
        raise ValueError(
            f"batch_size: found {batch_size}, which does not divide among {replicas} replicas. Use a multiple of "
            f"{replicas}."
        )
    if gpus:
        if replicas is not None and replicas > len(gpus):
            raise ValueError(
                f"replicas: found {replicas}, but TensorFlow sees {len(gpus)} GPUs. Use at most {len(gpus)}."
            )
        count = replicas or max(n for n in range(1, len(gpus) + 1) if batch_size % n == 0)
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        devices = [f"/gpu:{i}" for i in range(count)]
    else:
        count = replicas or 1
        [cpu, *_] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        devices = [f"/cpu:{i}" for i in range(count)]
    logging.info("Training on %d %s%s.", count, "GPU" if gpus else "CPU device", "s" if count > 1 else "")
    if gpus and count < len(gpus):
        logging.info("%d of %d GPUs are not used: batch_size is %d.", len(gpus) - count, len(gpus), batch_size)
    return tf.distribute.MirroredStrategy(devices) if count > 1 else OneReplica(devices)


class OneReplica(tf.distribute.MirroredStrategy):
    """A `MirroredStrategy` of one device, which reads a data set directly.

    TensorFlow's distributed iterator hands every window from thread to thread, which took 3 of 95 ms of processor time
    from a step (RE, 200 units, AMD EPYC, two cores).
    """

    def experimental_distribute_dataset(self, dataset, options=None):
        """Returns the data set itself.

        Args:
            dataset: The data set.
            options: Ignored.
        """
        return dataset


def make_worker_strategy(replicas: int | None, batch_size: int) -> tf.distribute.MultiWorkerMirroredStrategy:
    """Makes the strategy of this process in a training by several workers.

    Must be called before TensorFlow has initialised its devices. `TF_CONFIG` names the workers; it waits for all of
    them.

    Args:
        replicas: Number of devices of all workers together. None takes all GPUs of each, or one CPU device of each.
        batch_size: Lanes of the global batch.

    Returns:
        The strategy, over the devices of all workers.

    Raises:
        ValueError: If a worker lacks devices, `batch_size` does not divide among them, or the port of this worker is
            in use.
    """
    cluster = json.loads(os.environ["TF_CONFIG"])["cluster"]
    workers = sum(len(addresses) for addresses in cluster.values())
    gpus = tf.config.list_physical_devices("GPU")
    local = len(gpus) or 1 if replicas is None else replicas // workers
    if replicas is not None and replicas != local * workers or not 0 < local <= (len(gpus) or 1):
        raise ValueError(
            f"replicas: found {replicas}, expected a multiple of the {workers} workers, and at most "
            f"{len(gpus) or 1} for each: this one has {len(gpus)} GPUs; a worker without GPUs is one replica."
        )
    if batch_size % (local * workers):
        raise ValueError(
            f"batch_size: found {batch_size}, which does not divide among {local * workers} replicas. Use a multiple "
            f"of {local * workers}."
        )
    tf.config.set_visible_devices(gpus[:local], "GPU")
    for gpu in gpus[:local]:
        tf.config.experimental.set_memory_growth(gpu, True)
    logging.info("Training on %d workers with %d %s each.", workers, local, "GPU" if gpus else "CPU device")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise ValueError(
            f"TF_CONFIG: TensorFlow cannot connect the workers ({error.message.splitlines()[0]}). Another process may "
            "use one of the ports."
        ) from error


def choose_precision(precision: str) -> str:
    """Chooses the precision of the large products of training.

    For "auto" it is "bfloat16" on a processor that multiplies bfloat16 (`experiments/first_epochs.md` has the
    perplexities); without these instructions bfloat16 is slower than float32. On GPUs it is "float32", because the
    effect of bfloat16 on the perplexity has not been measured there.

    Args:
        precision: "float32" or "bfloat16", which are returned, or "auto".

    Returns:
        "float32" or "bfloat16".
    """
    if precision != "auto":
        return precision
    if tf.config.list_physical_devices("GPU"):
        return "float32"
    try:
        flags = CPU_INFORMATION.read_text()
    except OSError:  # not Linux
        return "float32"
    return "bfloat16" if BFLOAT16_FLAGS & set(flags.split()) else "float32"
