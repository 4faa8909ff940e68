"""Entries changed in place: NumPy's numbers, and no other tensor that the graph still needs changes."""

import numpy as np
import pytest
import tensorflow as tf

from models.layers.scatter import add_at, set_at

ROWS, COLUMNS = 5, 7
PLACES = np.array([[0, 3], [1, 0], [2, 6], [3, 3], [4, 1]])


def values():
    return np.random.default_rng(1).normal(size=(ROWS, COLUMNS)).astype(np.float32)


def test_rows_are_added_as_often_as_their_index_occurs():
    indices, updates = np.array([[1], [3], [1]]), np.random.default_rng(2).normal(size=(3, COLUMNS))
    expected = values().astype(np.float64)
    np.add.at(expected, indices[:, 0], updates)
    added = tf.function(lambda x: add_at(x * 1.0, indices, updates.astype(np.float32)))(values())
    np.testing.assert_allclose(added, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_entries_are_set_to_exactly_the_given_values(dtype):
    """Next to 1e-30 an entry of 1 would leave its rounding error, if it were not subtracted first."""
    updates = tf.cast([1e-30, -2.0, 0.0, 3e-20, 1e30], dtype)
    result = tf.function(lambda x: set_at(x * 1.0, PLACES, updates))(tf.cast(values(), dtype))
    np.testing.assert_array_equal(tf.gather_nd(result, PLACES), updates)
    others = np.ones([ROWS, COLUMNS], bool)
    others[tuple(PLACES.T)] = False
    np.testing.assert_array_equal(result.numpy()[others], tf.cast(values(), dtype).numpy()[others])


def test_tensors_that_the_graph_still_needs_do_not_change():
    variable = tf.Variable(values())

    @tf.function
    def changed():
        computed = variable * 2.0
        first, second = add_at(computed, PLACES, tf.ones([ROWS])), add_at(variable, PLACES, tf.ones([ROWS]))
        with tf.control_dependencies([first, second]):
            return first, second, tf.identity(computed), variable.read_value()

    first, second, computed, read = changed()
    added = np.zeros([ROWS, COLUMNS], np.float32)
    added[tuple(PLACES.T)] = 1.0
    np.testing.assert_array_equal(first, 2.0 * values() + added)
    np.testing.assert_array_equal(second, values() + added)
    np.testing.assert_array_equal(computed, 2.0 * values())
    np.testing.assert_array_equal(read, values())
    np.testing.assert_array_equal(variable, values())


def test_eager_tensors_do_not_change():
    tensor = tf.constant(values()) * 1.0
    add_at(tensor, PLACES, tf.ones([ROWS]))
    set_at(tensor, PLACES, tf.ones([ROWS]))
    np.testing.assert_array_equal(tensor, values())
