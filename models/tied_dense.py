"""The output layer: a Dense layer over the vocabulary whose kernel may be the word embedding itself."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="language_model")
class TiedDense(keras.layers.Layer):
    """Logits z = W h + b, with W = L and no b where it is tied to an embedding L (reused embedding, "+RE").

    The kernel is stored a row a word, [vocabulary, units], as an embedding is, so that tied and untied layers run
    through the same code.

    Args:
        vocabulary_size: Number of words, V.
        tied_to: A `keras.layers.Embedding` whose table [V, units] is W, or None for a kernel of its own.
        use_bias: Whether an untied layer has a bias b [V]. Default False. A tied layer never has one.
        initializer: Initializer of an untied kernel. Default: `keras.initializers.RandomUniform(-0.1, 0.1)`.

    Call arguments:
        hidden: float32 [..., units].

    Returns:
        Logits, float32 [..., V].

    Raises:
        ValueError: If a bias is asked for in a tied layer.

    Example:

    >>> embedding = keras.layers.Embedding(10, 4)
    >>> embedding.build()
    >>> TiedDense(10, tied_to=embedding)(tf.ones([2, 4])).shape
    TensorShape([2, 10])

    References:
        Inan et al., "Tying Word Vectors and Word Classifiers" (arXiv 1611.01462), section 3.
    """

    def __init__(self, vocabulary_size: int, tied_to=None, use_bias: bool = False, initializer=None, **kwargs):
        super().__init__(**kwargs)
        if tied_to is not None and use_bias:
            raise ValueError("TiedDense: use_bias=True needs an untied layer; the tied layer's b is 0 (eq. of +RE).")
        self.vocabulary_size = vocabulary_size
        self.tied_to = tied_to
        self.use_bias = use_bias
        self.initializer = keras.initializers.get(initializer or keras.initializers.RandomUniform(-0.1, 0.1))

    def build(self, input_shape):
        self._own_kernel = self.bias = None
        if self.tied_to is None:
            shape = (self.vocabulary_size, input_shape[-1])
            self._own_kernel = self.add_weight(name="kernel", shape=shape, initializer=self.initializer)
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")

    @property
    def kernel(self):
        """W as a variable [vocabulary, units]: the embedding's table where tied."""
        return self._own_kernel if self.tied_to is None else self.tied_to.embeddings

    def call(self, hidden):
        units = hidden.shape[-1]
        flat = tf.matmul(tf.reshape(hidden, [-1, units]), tf.convert_to_tensor(self.kernel), transpose_b=True)
        if self.use_bias:
            flat += tf.convert_to_tensor(self.bias)
        return tf.reshape(flat, tf.concat([tf.shape(hidden)[:-1], [self.vocabulary_size]], axis=0))

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "tied_to": keras.saving.serialize_keras_object(self.tied_to) if self.tied_to else None,
            "use_bias": self.use_bias,
            "initializer": keras.initializers.serialize(self.initializer),
        }
