"""Plain SGD in one pass over the weights, and their moving average in one more."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="language_model")
class OnePassSGD(keras.optimizers.SGD):
    """Plain SGD, w - learning_rate * gradient, in one pass over each weight.

    `keras.optimizers.SGD` takes three, and one more for the clip: together 4% of a step of the small network on an AMD
    Zen 4. `LanguageModel` passes it the gradient summed over the batch; division by the batch and the clip are one
    factor of the learning rate. Weight decay is part of the same pass, and the moving average is one pass more,
    compiled by XLA: Keras's own took 13 of 188 ms from a step of the medium network, these 3 (AMD Zen 5).

    Args:
        learning_rate: A float or a `keras.optimizers.schedules.LearningRateSchedule`. Default 1.0.
        global_clipnorm: Bound on the global norm of the gradient, averaged over the batch. Default None: no bound, as
            with 0.
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
        self._factor: tuple[tf.Tensor, int] | None = None  # clip and batch size of a step, which `apply_sums` sets

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
        self._factor = self._clip(norm), batch_size
        try:
            self.apply(gradients, variables)
        finally:
            self._factor = None

    def _clip(self, norm: tf.Tensor) -> tf.Tensor:
        one = tf.ones_like(norm)
        clips = self.global_clipnorm is not None and self.global_clipnorm > 0  # as in Keras
        return one if not clips else tf.minimum(one, self.global_clipnorm / norm)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Prepares the optimizer, as `keras.optimizers.Optimizer.build` does.

        Args:
            variables: The weights that it will update.
        """
        super(keras.optimizers.SGD, self).build(variables)  # without a momentum for each variable

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        """Does nothing: `update_step` decays the weights."""

    def _update_model_variables_moving_average(self, trainable_variables: Sequence[keras.Variable]) -> None:
        """Updates the moving averages; after the first step they are the weights."""
        momentum = tf.where(self.iterations == 0, 0.0, self.ema_momentum)
        averages = [average.value for average in self._model_variables_moving_average]
        weights = [variable.value for variable in trainable_variables]

        def update(average: tf.Variable, weight: tf.Variable, momentum: tf.Tensor) -> None:
            average.assign(_averaged(average.read_value(), weight.read_value(), momentum))

        def on_each_device(distribution: tf.distribute.Strategy, momentum: tf.Tensor) -> None:
            for average, weight in zip(averages, weights, strict=True):
                distribution.extended.update(average, update, args=(weight, momentum), group=False)

        tf.__internal__.distribute.interim.maybe_merge_call(on_each_device, self._distribution_strategy, momentum)

    def _clip_gradients(self, gradients: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        return gradients

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[keras.Variable], learning_rate: tf.Tensor
    ) -> None:
        # Another model than LanguageModel passes gradients that are divided by the batch already.
        clip, batch_size = self._factor or (self._clip(tf.linalg.global_norm(grads)), 1)
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
        if self.weight_decay is None or not self._use_weight_decay(variable):
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=learning_rate, delta=gradient)
        else:
            decay = tf.cast(self.learning_rate, variable.dtype) * self.weight_decay
            variable.assign(_descended(variable.read_value(), gradient, learning_rate, decay))


# Functions of values: one that is given variables confuses two of the same shape under a strategy.
@tf.function(jit_compile=True, autograph=False)
def _descended(weight: tf.Tensor, gradient: tf.Tensor, rate: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
    return weight - decay * weight - rate * gradient


@tf.function(jit_compile=True, autograph=False)
def _averaged(average: tf.Tensor, weight: tf.Tensor, momentum: tf.Tensor) -> tf.Tensor:
    momentum = tf.cast(momentum, average.dtype)
    return momentum * average + (1 - momentum) * weight
