"""Plain SGD in one pass over the weights."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


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

    __module__ = "models.training.optimizers"  # the module that `.keras` files name, which has the class, too

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        global_clipnorm: float | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ("momentum", "nesterov", "clipnorm", "clipvalue", "gradient_accumulation_steps"):
            if kwargs.pop(name, None):
                raise ValueError(f"OnePassSGD has no {name}: use keras.optimizers.SGD.")
        super().__init__(learning_rate, global_clipnorm=global_clipnorm, **kwargs)
        self._factor: tuple[tf.Tensor, int]  # clip and batch size of a step, which `apply_sums` sets

    def apply_sums(
        self, gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable], batch_size: int, norm: tf.Tensor
    ) -> None:
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

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Prepares the optimizer, as `keras.optimizers.Optimizer.build` does.

        Args:
            variables: The weights that it will update.
        """
        super(keras.optimizers.SGD, self).build(variables)  # without a momentum for each variable

    def _clip_gradients(self, gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return gradients

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        clip, batch_size = self._factor
        rate = tf.cast(learning_rate, clip.dtype) * clip / batch_size
        super()._backend_update_step(grads, trainable_variables, rate)

    def _distributed_tf_update_step(
        self,
        distribution: tf.distribute.Strategy,
        grads_and_vars: Sequence[tuple[tf.Tensor, keras.Variable]],
        learning_rate: tf.Tensor,
    ) -> None:
        # The first replica's rate for all: graph optimization may round them differently, and the copies would drift.
        [rate, *_] = distribution.experimental_local_results(learning_rate)
        super()._distributed_tf_update_step(distribution, grads_and_vars, rate)

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        """Updates one weight in place.

        Args:
            gradient: Of the weight, summed over the batch.
            variable: The weight.
            learning_rate: Scalar, with the clip and the division by the batch in it.
        """
        tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=learning_rate, delta=gradient)
