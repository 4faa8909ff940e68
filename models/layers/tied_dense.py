"""The output layer: a Dense layer over the vocabulary whose kernel may be the word embedding itself."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="language_model")
class TiedDense(keras.layers.Layer):
    """Logits z = W h + b, with W = L and no b where it is tied to an embedding L (reused embedding, "+RE").

    The kernel has a row for each word, [vocabulary, units], as an embedding does, so that tied and untied layers use
    the same code.

    A model that is saved and loaded, or cloned by `keras.models.clone_model`, is tied to its own embedding: the loaded
    layer takes the embedding of the same name that its input was computed from.

    Args:
        vocabulary_size: Number of words, V.
        tied_to: A `keras.layers.Embedding` whose table [V, units] is W, or None for a separate kernel. Default None.
        use_bias: Whether an untied layer has a bias b [V]. Default False. A tied layer never has one.
        initializer: Initializer of an untied kernel. Default: `keras.initializers.RandomUniform(-0.1, 0.1)`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name` and `dtype`.

    Call arguments:
        hidden: Floating-point [..., units].

    Returns:
        Logits [..., V] in the layer's compute dtype, in which the product is computed, as with `keras.layers.Dense`.
        Under a policy of 16 bits the logits have 16 bits: pass `dtype="float32"` for a loss that needs more (the
        augmented loss does).

    Raises:
        ValueError: If a tied layer should have a bias, or if the embedding's table is not [V, units].

    Example, a model whose output layer reuses the embedding:

    >>> embedding = keras.layers.Embedding(1000, 64)
    >>> ids = keras.Input((None,), dtype="int32")
    >>> hidden = keras.layers.LSTM(64, return_sequences=True)(embedding(ids))
    >>> model = keras.Model(ids, TiedDense(1000, tied_to=embedding)(hidden))
    >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> model(tf.zeros([2, 7], tf.int32)).shape
    TensorShape([2, 7, 1000])

    References:
        Inan et al., "Tying Word Vectors and Word Classifiers" (arXiv 1611.01462), section 3.
    """

    def __init__(
        self,
        vocabulary_size: int,
        tied_to: keras.layers.Embedding | None = None,
        use_bias: bool = False,
        initializer: str | keras.initializers.Initializer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if tied_to is not None and use_bias:
            raise ValueError("TiedDense: use_bias=True needs an untied layer; the tied layer's b is 0 (eq. of +RE).")
        self.vocabulary_size = vocabulary_size
        self.tied_to = tied_to
        self.use_bias = use_bias
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomUniform(-0.1, 0.1))
        self.supports_masking = True
        self._from_config = False
        self._own_kernel = self.bias = None

    def __call__(self, hidden: tf.Tensor | keras.KerasTensor, *args: Any, **kwargs: Any) -> Any:
        if self._from_config and self.tied_to is not None and isinstance(hidden, keras.KerasTensor):
            self._tie_to_embedding_of(hidden, self.tied_to.name)
        return super().__call__(hidden, *args, **kwargs)

    def _tie_to_embedding_of(self, hidden: keras.KerasTensor, name: str) -> None:
        """Ties the layer to the embedding of this name that `hidden` was computed from, if there is one.

        Keras makes each layer of a clone from its own configuration, so the layer first has a copy of the embedding.
        """
        seen, tensors = set(), [hidden]
        while tensors:
            operation, node, _ = tensors.pop()._keras_history
            if operation in seen:
                continue
            seen.add(operation)
            layers = operation._flatten_layers() if isinstance(operation, keras.Model) else [operation]
            found = [layer for layer in layers if isinstance(layer, keras.layers.Embedding) and layer.name == name]
            if found:
                self._tracker.untrack(self.tied_to)
                self.tied_to = found[0]
                break
            tensors += operation._inbound_nodes[node].input_tensors
        self._from_config = False

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the weights that do not belong to the embedding.

        Args:
            input_shape: Shape of the hidden states, [..., units].

        Raises:
            ValueError: If the embedding's table is not [V, units].
        """
        units = input_shape[-1]
        if self.tied_to is None:
            shape = (self.vocabulary_size, units)
            self._own_kernel = self.add_weight(name="kernel", shape=shape, initializer=self.initializer)
        else:
            shape = (self.tied_to.input_dim, self.tied_to.output_dim)
            if shape != (self.vocabulary_size, units):
                raise ValueError(
                    f"TiedDense: the embedding {self.tied_to.name!r} has a table of {shape[0]} words x {shape[1]} "
                    f"units; the layer has vocabulary_size={self.vocabulary_size} and inputs of {units} units. They "
                    "must be equal."
                )
            if not self.tied_to.built:
                self.tied_to.build()
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns the shapes to build the layer from, or None where tied: the embedding is known at the first call."""
        return super().get_build_config() if self.tied_to is None else None

    @property
    def kernel(self) -> keras.Variable:
        """W as a variable [vocabulary, units]: the embedding's table where tied."""
        return self._own_kernel if self.tied_to is None else self.tied_to.embeddings

    def call(self, hidden: tf.Tensor) -> tf.Tensor:
        """Computes the logits.

        Args:
            hidden: Floating-point [..., units].

        Returns:
            Logits [..., V] in the compute dtype.
        """
        kernel = tf.cast(self.kernel, self.compute_dtype)
        flat = tf.matmul(tf.reshape(hidden, [-1, hidden.shape[-1]]), kernel, transpose_b=True)
        if self.use_bias:
            flat += tf.cast(self.bias, self.compute_dtype)
        return keras.ops.reshape(flat, (*keras.ops.shape(hidden)[:-1], self.vocabulary_size))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the shape of the logits.

        Args:
            input_shape: Shape of the hidden states, [..., units].

        Returns:
            [..., V].
        """
        return (*input_shape[:-1], self.vocabulary_size)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, for `from_config`."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "tied_to": keras.saving.serialize_keras_object(self.tied_to) if self.tied_to else None,
            "use_bias": self.use_bias,
            "initializer": keras.initializers.serialize(self.initializer),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Makes a layer from its configuration, tied to a copy of the embedding until it is called.

        Args:
            config: What `get_config` returned.
        """
        embedding = keras.saving.deserialize_keras_object(config["tied_to"]) if config["tied_to"] else None
        layer = cls(**{**config, "tied_to": embedding})
        layer._from_config = True
        return layer
