"""Single entries of large tensors, changed in place: TensorFlow's own `tensor_scatter_nd_*` copy the tensor first."""

import tensorflow as tf


def add_at(values, indices, updates):
    """`values` with `updates` added at `indices`, as `tf.tensor_scatter_nd_add` has them.

    The result takes the memory of `values` where nothing else in the graph needs them any more.
    """
    return tf.raw_ops.ScatterNdNonAliasingAdd(input=values, indices=indices, updates=updates)


def set_at(values, indices, updates):
    """`values` with `updates` in the place of the entries at `indices`, which are different from each other.

    The entries are taken away exactly (x - x = 0) before their new values are added; they must be finite.
    """
    emptied = add_at(values, indices, -tf.gather_nd(values, indices))
    return add_at(emptied, indices, updates)
