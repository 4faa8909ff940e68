"""Keras's contract for a model that is trained on windows of text: `compile`, `fit`, `evaluate` and `predict`."""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from models.arguments import check_loss
from models.fitting import compilation, replicas
from models.fitting.metrics import Perplexity, TokenMean
from models.fitting.sgd import OnePassSGD
from models.fitting.target_embedding import check_renewed
from models.layers.carried_state import CarriedState
from models.text.checks import check_carried, check_epochs, check_lanes, check_start, check_windows

Windows: TypeAlias = tf.data.Dataset  # what `models.windows` returns; its elements are:
Window: TypeAlias = tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]


class WindowTraining(keras.Model):
    """The part of `LanguageModel` that Keras calls: steps over windows whose state is carried from one to the next.

    What a step computes is a function of the weights, the carried state and the optimizer's `iterations`, so training
    resumes exactly from those.
    """

    # Keras would compile the whole step with XLA under a strategy, where the replicas' sum cannot be compiled.
    supports_jit = False

    def _prepare_training(self) -> None:
        """Creates metrics and carried states. Called once the layers are built, in the scope of the strategy."""
        figures = [TokenMean("loss"), Perplexity(), TokenMean("augmented_loss"), TokenMean("gradient_norm")]
        self._figures = {metric.name: metric for metric in (*figures, TokenMean("clipped"))}
        # In a namespace, which Keras does not track, so that neither `.keras` files nor SavedModels hold them.
        shape = self.num_layers, self.units, self.variable_dtype
        self._untracked = types.SimpleNamespace(
            carried={part: CarriedState(*shape) for part in ("train", "test")},
            loss_weights={"temperature": self.temperature or 1.0, "gamma": self.gamma or 0.0},
            specs={},
            strategy=tf.distribute.get_strategy(),
        )

    @property
    def metrics(self) -> list[keras.Metric]:
        """The metrics of training and evaluation, which Keras resets at the start of each epoch."""
        return list(self._figures.values())

    def compile(self, optimizer: str | keras.optimizers.Optimizer = "sgd", **kwargs: Any) -> None:
        """Configures training as `keras.Model.compile` does; loss and metrics are the model's own.

        Args:
            optimizer: Any Keras optimizer. Its learning rate belongs to a loss that is summed over the steps of a
                window and averaged over the batch, as the paper's; its clip acts on the gradient of the whole batch.
            **kwargs: `run_eagerly` and `steps_per_execution`, as for `keras.Model.compile`.

        Raises:
            ValueError: If a loss or metrics are given, XLA is on, several replicas, or a model whose `target` is a
                copy, should run several steps per execution, the model or the optimizer belongs to another strategy, or
                the optimizer scales the loss.
        """
        strategy = self._untracked.strategy
        compilation.check_arguments(kwargs, strategy, self.target)
        compilation.check_scope(strategy)
        with strategy.scope():
            optimizer = keras.optimizers.get(optimizer)
            compilation.check_optimizer(optimizer, strategy)
            super().compile(optimizer, **kwargs | {"jit_compile": False})
            compilation.take_reduced_gradients(optimizer)
            if not optimizer.built:
                optimizer.build(self.trainable_variables)

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compiles a loaded model as it was when it was saved.

        Args:
            config: The arguments of `compile`, as Keras saved them.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self, x: Windows | None = None, y: None = None, *, validation_data: Windows | None = None, **kwargs: Any
    ) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does.

        Args:
            x: A data set of `models.windows`. Under a strategy its lanes are divided among the replicas.
            y: None: the targets are in `x`.
            validation_data: A data set of `models.windows`, often of one lane.
            **kwargs: Arguments of `keras.Model.fit`, such as `epochs` and `callbacks`.

        Returns:
            The `keras.callbacks.History`, whose `history` has, for each epoch: `loss` (cross-entropy a token, nats,
            with dropout), `perplexity`, `augmented_loss` (J_aug a token, nats), `gradient_norm` (mean before clipping),
            `clipped` (share of the steps), `val_loss` and `val_perplexity`.

        Raises:
            ValueError: Before the first step, if the model is not compiled or belongs to another strategy, no callback
                renews its copy of the embedding, the lanes do not divide among the replicas, a token is not in the
                vocabulary, or `x` starts in the middle and the model carries no state for it, or there is more than one
                epoch.
        """
        self._assert_compile_called("fit")
        compilation.check_scope(self._untracked.strategy)
        check_renewed(self.target, kwargs.get("callbacks"))
        share = replicas.worker_index(self.distribute_strategy), replicas.num_workers(self.distribute_strategy)
        check_windows("x", x, y, self.vocabulary_size, share)
        check_lanes("x", x, self.distribute_strategy.num_replicas_in_sync)
        check_carried("x", x, self.carried_state.lanes * share[1])
        check_epochs("x", x, kwargs.get("epochs", 1) - kwargs.get("initial_epoch", 0))
        if validation_data is not None:
            check_windows("validation_data", validation_data, None, self.vocabulary_size, share)
            check_start("validation_data", validation_data)
            validation_data = replicas.evaluation_lanes(validation_data, self.distribute_strategy)
        self._trace_for("train_function", x)
        x = replicas.lanes_of_this_worker(x, self.distribute_strategy)
        return super().fit(x, validation_data=validation_data, **{"shuffle": False} | kwargs)

    def evaluate(self, x: Windows | None = None, y: None = None, **kwargs: Any) -> list[float] | dict[str, float]:
        """Computes the exact loss and perplexity, whatever the length of the windows: each token is predicted once.

        Args:
            x: A data set of `models.windows`, often of one lane.
            y: None: the targets are in `x`.
            **kwargs: Arguments of `keras.Model.evaluate`, such as `return_dict`.

        Returns:
            `loss` (cross-entropy a token, nats) and `perplexity`.

        Raises:
            ValueError: If the model is not compiled or belongs to another strategy, `x` is no data set of
                `models.windows` or does not start at window 0, or a token is not in the vocabulary.
        """
        if not kwargs.get("_use_cached_eval_dataset"):  # set by `fit`, which has checked its data
            self._assert_compile_called("evaluate")
            compilation.check_scope(self._untracked.strategy)
            check_windows("x", x, y, self.vocabulary_size)
            check_start("x", x)
            x = replicas.evaluation_lanes(x, self.distribute_strategy)
        self._trace_for("test_function", x)
        return super().evaluate(x, **kwargs)

    def predict(self, x: Windows | tf.Tensor | np.ndarray, batch_size: int | None = None, **kwargs: Any) -> np.ndarray:
        """Computes logits, as `keras.Model.predict` does.

        Args:
            x: Ids [rows, time], each row read from the zero state, or a data set of `models.windows`.
            batch_size: Rows of ids that are read at once. Default None: 32.
            **kwargs: Further arguments of `keras.Model.predict`, such as `verbose`.

        Returns:
            Logits [rows, time, V], a NumPy array; for a data set the lanes of its first window come first.

        Raises:
            ValueError: If there are several workers, or `x` is a data set whose lanes do not divide among the replicas
                or that does not start at window 0.
        """
        if replicas.num_workers(self.distribute_strategy) > 1:
            raise ValueError("predict does not run on several workers. Load the saved model in one process instead.")
        if isinstance(x, tf.data.Dataset):
            check_windows("x", x, None, self.vocabulary_size)
            check_start("x", x)
            check_lanes("x", x, self.distribute_strategy.num_replicas_in_sync)
            self._trace_for("predict_function", x)
        return super().predict(x, batch_size=batch_size, **kwargs)

    def train_step(self, data: Window) -> dict[str, tf.Tensor]:
        """Updates the weights from one window, for `keras.Model.fit`.

        Args:
            data: `(inputs, targets, sample_weight)` of `models.windows`, this replica's lanes.

        Returns:
            The metrics since the beginning of the epoch, by name.
        """
        inputs, targets, weights = self._with_static_lanes(data, "train_function")
        context, lanes = tf.distribute.get_replica_context(), targets.shape[0]
        batch_size = lanes * context.num_replicas_in_sync
        carried = self._untracked.carried["train"]
        state = carried.read(inputs["window"][0], lanes)
        # Not `iterations`, which does not count every window if an optimizer accumulates gradients of several.
        masks = self.training_masks(batch_size, inputs["lane"], tf.cast(self.optimizer._iterations, tf.int32))
        gradients, sums, state = self.window_gradients(inputs["token_ids"], targets, weights, state, masks)
        carried.write(state)
        if context.num_replicas_in_sync > 1:  # with one replica it would only be a copy
            *gradients, sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, sums])
        norm = tf.linalg.global_norm(gradients) / batch_size
        self._update(gradients, batch_size, norm)
        cross_entropy, augmented, tokens = tf.unstack(sums)
        clip_norm = self.optimizer.global_clipnorm
        figures = {
            "loss": (cross_entropy, tokens),
            "perplexity": (cross_entropy, tokens),
            "augmented_loss": (augmented, tokens),
            "gradient_norm": (norm, 1),
            "clipped": (norm > clip_norm if clip_norm else 0, 1),
        }
        return self._count(figures)

    def test_step(self, data: Window) -> dict[str, tf.Tensor]:
        """Evaluates one window without dropout, for `keras.Model.evaluate`.

        Args:
            data: `(inputs, targets, sample_weight)` of `models.windows`, this replica's lanes.

        Returns:
            `loss` and `perplexity` since the beginning of the evaluation.
        """
        inputs, targets, weights = self._with_static_lanes(data, "test_function")
        carried = self._untracked.carried["test"]
        state = carried.read(inputs["window"][0], targets.shape[0])
        scores, state = self._compiled_scores(inputs["token_ids"], targets, state)
        carried.write(state)
        losses = -scores * tf.cast(weights, scores.dtype)
        sums = tf.stack([tf.reduce_sum(tf.cast(x, tf.float64)) for x in (losses, weights)])
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        return self._count(dict.fromkeys(("loss", "perplexity"), tf.unstack(sums)))

    def predict_step(self, data: Window | tf.Tensor) -> tf.Tensor:
        """Computes logits for `keras.Model.predict`.

        Args:
            data: Ids [batch, time], each row read from the zero state, or a window of `models.windows`.

        Returns:
            Logits [batch, time, V].
        """
        inputs = data[0] if isinstance(data, tuple) else data
        if not isinstance(inputs, dict):
            return self(inputs)
        carried = self._untracked.carried["test"]
        state = carried.read(inputs["window"][0], inputs["lane"].shape[0])
        logits, state = self(inputs["token_ids"], state, return_state=True)
        carried.write(state)
        return logits

    def _make_function(self, step_function: Callable[..., Any]) -> Callable[..., Any]:
        """Makes Keras's function of a step; several workers need a special one."""
        if replicas.num_workers(self.distribute_strategy) > 1:
            return replicas.make_function(step_function, self.distribute_strategy, self.run_eagerly)
        return super()._make_function(step_function)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Does nothing, since the model is built. Keras would read a window here, which fails on several workers."""

    def set_loss_weights(self, temperature: float | None = None, gamma: float | None = None) -> None:
        """Changes τ or γ of the augmented loss from the next step on.

        Before the first change both are constants of the step, which makes it 3% faster (Zen 4, 200 units).

        Args:
            temperature: The new τ, or None (default) to keep it.
            gamma: The new γ, or None (default) to keep it.

        Raises:
            ValueError: If the model has no augmented loss, τ is not more than 0, or γ is less than 0.
        """
        check_loss(self.augmented, temperature, gamma, None, self.target)
        weights = self._untracked.loss_weights
        for name, value in {"temperature": temperature, "gamma": gamma}.items():
            if value is None:
                continue
            if isinstance(weights[name], float | int):
                with self.distribute_strategy.scope():
                    weights[name] = tf.Variable(value, dtype=self.variable_dtype, trainable=False)
                if self.train_function is not None:  # it was traced with the constant
                    self.make_train_function(force=True)
            weights[name].assign(value)
            setattr(self, name, float(value))  # what is saved with the model

    @property
    def steps_done(self) -> int:
        """Number of windows that the model was trained on, with this optimizer."""
        return int(self.optimizer._iterations.numpy())

    @property
    def carried_state(self) -> CarriedState:
        """The state that is carried from one window of training to the next."""
        return self._untracked.carried["train"]

    @property
    def _compiled_scores(self) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
        """`token_log_probabilities`, compiled by XLA once for every shape of a window."""
        if not hasattr(self._untracked, "scores"):
            self._untracked.scores = tf.function(self.token_log_probabilities, jit_compile=True, autograph=False)
        return self._untracked.scores

    def _update(self, gradients: Sequence[tf.Tensor], batch_size: int, norm: tf.Tensor) -> None:
        """Applies gradients that are summed over the batch and the replicas."""
        if isinstance(self.optimizer, OnePassSGD):
            self.optimizer.apply_sums(gradients, self.trainable_variables, batch_size, norm)
        else:
            self.optimizer.apply([gradient / batch_size for gradient in gradients], self.trainable_variables)

    def _count(self, figures: Mapping[str, Sequence[Any]]) -> dict[str, tf.Tensor]:
        """Updates metrics with the figures of a window, and returns their results."""
        for name, values in figures.items():
            self._figures[name].update_state(*values)
        return {name: self._figures[name].result() for name in figures}

    def _trace_for(self, function: str, data: Windows) -> None:
        """Makes Keras trace a function again for windows of another shape: it would make the shape unknown instead."""
        specs = self._untracked.specs
        if specs.get(function) != data.element_spec:
            specs[function] = data.element_spec
            setattr(self, function, None)

    def _with_static_lanes(self, data: Window, function: str) -> Window:
        """Returns `data` with its number of lanes, which is unknown if several steps are one execution."""
        if data[1].shape[0] is not None:
            return data
        lanes = self._untracked.specs[function][1].shape[0] // self.distribute_strategy.num_replicas_in_sync
        return tf.nest.map_structure(lambda t: tf.ensure_shape(t, [lanes, *t.shape[1:]]), data)
