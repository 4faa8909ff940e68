"""The output layer, tied and untied."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.layers.tied_dense import TiedDense


@pytest.fixture
def embedding():
    layer = keras.layers.Embedding(9, 4)
    layer.build()
    return layer


def test_tied_logits_are_products_with_the_rows_of_the_embedding(embedding):
    hidden = tf.random.stateless_normal([2, 5, 4], [1, 2])
    logits = TiedDense(9, tied_to=embedding)(hidden)
    assert logits.shape == (2, 5, 9)
    np.testing.assert_allclose(logits, hidden.numpy() @ embedding.embeddings.numpy().T, rtol=1e-5, atol=1e-6)


def test_tied_layer_adds_no_weight(embedding):
    layer = TiedDense(9, tied_to=embedding)
    layer(tf.zeros([1, 4]))
    assert layer.kernel is embedding.embeddings
    assert len(layer.trainable_variables) == 1 and layer.trainable_variables[0] is embedding.embeddings


def test_tied_layer_follows_its_embedding(embedding):
    layer, hidden = TiedDense(9, tied_to=embedding), tf.ones([1, 4])
    layer(hidden)
    embedding.embeddings.assign(tf.ones([9, 4]))
    np.testing.assert_allclose(layer(hidden), np.full([1, 9], 4.0))


def test_untied_layer_adds_its_bias_to_products_with_its_own_kernel():
    layer = TiedDense(9, use_bias=True)
    layer.build([None, 4])
    layer.bias.assign(tf.range(9.0))
    hidden = tf.random.stateless_normal([6, 4], [1, 2])
    np.testing.assert_allclose(layer(hidden), hidden.numpy() @ layer.kernel.numpy().T + np.arange(9.0), rtol=1e-5)
    assert [tuple(v.shape) for v in layer.trainable_variables] == [(9, 4), (9,)]


def test_gradient_of_a_tied_kernel_reaches_the_embedding(embedding):
    layer, hidden = TiedDense(9, tied_to=embedding), tf.ones([3, 4])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(hidden))
    np.testing.assert_allclose(tape.gradient(loss, embedding.embeddings.value), np.full([9, 4], 3.0))


def test_tied_layer_refuses_a_bias(embedding):
    with pytest.raises(ValueError, match="use_bias=True needs an untied layer"):
        TiedDense(9, tied_to=embedding, use_bias=True)


def test_configuration_makes_the_same_layer(embedding):
    copy = TiedDense.from_config(TiedDense(9, use_bias=True, name="output").get_config())
    assert (copy.vocabulary_size, copy.use_bias, copy.tied_to, copy.name) == (9, True, None, "output")
