"""The optimizers that a recipe names: Keras's own, and plain SGD in one pass over the weights."""

from typing import Any

import keras

from models.fitting.sgd import OnePassSGD
from models.settings import OPTIMIZER_OPTIONS


def make_optimizer(
    name: str, learning_rate: float, clip_norm: float | None, ema: float | None = None, **options: Any
) -> keras.optimizers.Optimizer:
    """Makes an optimizer by its name in the configuration.

    Args:
        name: A key of `models.settings.OPTIMIZER_OPTIONS`.
        learning_rate: The learning rate at the start.
        clip_norm: Bound on the global norm of the whole batch's gradient, or None.
        ema: Momentum of Keras's exponential moving average of the weights, or None for no average. Default None.
        **options: Further arguments of Keras's optimizer. An option that is None keeps Keras's default.

    Returns:
        The `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If the optimizer has no such option.
    """
    given = {key: value for key, value in options.items() if value is not None}
    allowed = OPTIMIZER_OPTIONS[name]
    if unknown := sorted(given.keys() - allowed):
        raise ValueError(f"The optimizer {name} has no {' and no '.join(unknown)}; it has {', '.join(allowed)}.")
    average = {} if ema is None else {"use_ema": True, "ema_momentum": ema}
    classes = {
        "sgd": OnePassSGD,
        "momentum": keras.optimizers.SGD,
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "nadam": keras.optimizers.Nadam,
        "rmsprop": keras.optimizers.RMSprop,
    }
    if name == "momentum":
        given = {"momentum": 0.9} | given
    return classes[name](learning_rate, global_clipnorm=clip_norm, **average, **given)
