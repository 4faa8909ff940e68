"""Matrix products in the precision of a recipe."""

import tensorflow as tf


def matmul(
    a: tf.Tensor, b: tf.Tensor, precision: str = "float32", transpose_a: bool = False, transpose_b: bool = False
) -> tf.Tensor:
    """Computes a @ b.

    Args:
        a, b: Matrices of one floating-point type. With precision "bfloat16" each may be float32 or bfloat16.
        precision: "bfloat16" rounds operands and result to bfloat16. Any other value, such as the default "float32",
            multiplies the matrices in their own type.
        transpose_a, transpose_b: Whether to transpose the matrix first. Default False.

    Returns:
        The product: float32 with precision "bfloat16", else in the type of the matrices.
    """
    if precision != "bfloat16":
        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    a, b = tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16)
    return tf.cast(tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b), tf.float32)
