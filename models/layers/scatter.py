"""Changes single entries of large tensors in place; TensorFlow's own `tensor_scatter_nd_*` copy the tensor first."""

import tensorflow as tf


def add_at(values: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Adds updates to entries of a tensor, as `tf.tensor_scatter_nd_add` does.

    The result reuses the memory of `values` if nothing else in the graph needs them.

    Args:
        values: The tensor.
        indices: int [updates, rank of the index], as for `tf.tensor_scatter_nd_add`; an index may occur twice.
        updates: Values of the same type, one entry or slice for each index.

    Returns:
        A tensor of the shape of `values`.
    """
    return tf.raw_ops.ScatterNdNonAliasingAdd(input=values, indices=indices, updates=updates)


def set_at(values: tf.Tensor, indices: tf.Tensor, updates: tf.Tensor) -> tf.Tensor:
    """Replaces entries of a tensor.

    The old entries are subtracted exactly (x - x = 0) before the new values are added, so they must be finite.

    Args:
        values: The tensor.
        indices: int [updates, rank of the index], as for `tf.tensor_scatter_nd_update`; no index occurs twice.
        updates: The new values, of the same type.

    Returns:
        A tensor of the shape of `values`.
    """
    emptied = add_at(values, indices, -tf.gather_nd(values, indices))
    return add_at(emptied, indices, updates)
