"""The optimizers that training offers: Keras's own, and plain SGD in one pass over the weights."""

from typing import Any

import keras
import tensorflow as tf

from models.settings import OPTIMIZER_OPTIONS


@keras.saving.register_keras_serializable(package="language_model")
class OnePassSGD(keras.optimizers.SGD):
    """Plain SGD, w - learning_rate * gradient, in one pass over each weight.

    `keras.optimizers.SGD` takes three, and one more for the clip: together 4% of a step of the small network on an AMD
    Zen 4. `LanguageModel` passes it the gradient summed over the batch; division by the batch and the clip are one
    factor of the learning rate.

    Args:
        learning_rate: A float or a `keras.optimizers.schedules.LearningRateSchedule`. Default 1.0.
        global_clipnorm: Bound on the global norm of the gradient, averaged over the batch. Default None: no bound.
        **kwargs: Arguments of `keras.optimizers.Optimizer`, such as `weight_decay` and `use_ema`.

    Raises:
        ValueError: If an option is given that needs more than one pass: `momentum`, `nesterov`, `clipnorm`,
            `clipvalue` or `gradient_accumulation_steps`.
    """

    def __init__(self, learning_rate=1.0, global_clipnorm=None, **kwargs):
        for name in ("momentum", "nesterov", "clipnorm", "clipvalue", "gradient_accumulation_steps"):
            if kwargs.pop(name, None):
                raise ValueError(f"OnePassSGD has no {name}: use keras.optimizers.SGD.")
        super().__init__(learning_rate, global_clipnorm=global_clipnorm, **kwargs)
        self._factor = 1.0

    def apply_sums(self, gradients, variables, batch_size: int, norm) -> None:
        """Updates the variables from gradients that are summed over the batch.

        Args:
            gradients: Summed over the batch and all replicas, not clipped.
            variables: One for each gradient.
            batch_size: Lanes of the whole batch, by which the sums are divided.
            norm: Scalar, the global norm of the gradients after the division.
        """
        one = tf.ones_like(norm)
        clip = one if self.global_clipnorm is None else tf.minimum(one, self.global_clipnorm / norm)
        self._factor = clip, batch_size
        self.apply(gradients, variables)

    def build(self, variables):
        """Prepares the optimizer, as `keras.optimizers.Optimizer.build` does.

        Args:
            variables: The weights that it will update.
        """
        super(keras.optimizers.SGD, self).build(variables)  # without a momentum for each variable

    def _clip_gradients(self, gradients):
        return gradients

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        clip, batch_size = self._factor
        rate = tf.cast(learning_rate, clip.dtype) * clip / batch_size
        super()._backend_update_step(grads, trainable_variables, rate)

    def _distributed_tf_update_step(self, distribution, grads_and_vars, learning_rate):
        # The first replica's rate for all: graph optimization may round them differently, and the copies would drift.
        [rate, *_] = distribution.experimental_local_results(learning_rate)
        super()._distributed_tf_update_step(distribution, grads_and_vars, rate)

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight in place.

        Args:
            gradient: Of the weight, summed over the batch.
            variable: The weight.
            learning_rate: Scalar, with the clip and the division by the batch in it.
        """
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=learning_rate, delta=gradient)


def take_reduced_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a Keras optimizer accept gradients that are already summed over the replicas.

    Keras clips first and then sums over the replicas, so that with several replicas `global_clipnorm` would clip the
    gradient of a part of the batch.

    Args:
        optimizer: The optimizer, which is changed.
    """
    optimizer._all_reduce_sum_gradients = list


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
