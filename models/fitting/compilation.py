"""What a model of text is compiled with: checks of the arguments of `compile`, and the optimizer."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf


def check_arguments(arguments: Mapping[str, Any], strategy: tf.distribute.Strategy, target: str) -> None:
    """Checks the arguments of `compile` other than the optimizer.

    Args:
        arguments: The arguments by name.
        strategy: The strategy that the model was created in.
        target: The model's `target`.

    Raises:
        ValueError: If a loss or metrics are given, XLA is on, or several replicas, or a model whose `target` is a copy,
            should run several steps per execution.
    """
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        if arguments.get(name) is not None:
            raise ValueError(f"{name}: LanguageModel has its own loss and metrics. Leave {name} out of compile.")
    if arguments.get("jit_compile") is True:
        raise ValueError("jit_compile: a step compiles its own parts with XLA. Leave jit_compile out of compile.")
    if strategy.num_replicas_in_sync > 1 and arguments.get("steps_per_execution", 1) != 1:
        # https://github.com/keras-team/keras/issues/19246
        raise ValueError("steps_per_execution: Keras fails with more than 1 on several replicas. Leave it out.")
    if target != "current" and arguments.get("steps_per_execution", 1) != 1:
        raise ValueError(
            f"steps_per_execution: the copy of the embedding that target={target!r} learns from is renewed between "
            "steps. Leave it out."
        )


def check_optimizer(optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy) -> None:
    """Checks that an optimizer belongs to the model's strategy, is a single one and does not scale the loss.

    Args:
        optimizer: The optimizer.
        strategy: The strategy that the model was created in.

    Raises:
        ValueError: If the optimizer belongs to another strategy, has parts, or scales the loss.
    """
    if optimizer._distribution_strategy is not strategy:
        raise ValueError("optimizer: create it inside the scope() of the strategy that the model was created in.")
    if isinstance(optimizer, getattr(keras.optimizers, "MultiOptimizer", ())):
        raise ValueError("optimizer: the parts of a MultiOptimizer would sum and clip by themselves. Use a single one.")
    if optimizer.loss_scale_factor or isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError("optimizer: no type of LanguageModel needs its loss scaled. Leave the scaling out.")


def check_scope(strategy: tf.distribute.Strategy) -> None:
    """Checks that a model is not compiled, trained or evaluated in the scope of another strategy.

    Args:
        strategy: The strategy that the model was created in.

    Raises:
        ValueError: If it is.
    """
    if tf.distribute.has_strategy() and tf.distribute.get_strategy() is not strategy:
        raise ValueError("LanguageModel: create it inside the scope() of the strategy that it is trained in.")


def take_reduced_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a Keras optimizer accept gradients that are already summed over the replicas.

    Keras clips first and then sums over the replicas, so that with several replicas `global_clipnorm` would clip the
    gradient of a part of the batch.

    Args:
        optimizer: The optimizer, which is changed.
    """
    optimizer._all_reduce_sum_gradients = list
