"""Matrix products in the precision that a recipe asks for."""

import tensorflow as tf


def matmul(a, b, precision: str = "float32", transpose_a: bool = False, transpose_b: bool = False):
    """a @ b, with "bfloat16" as float32, its operands and result rounded to bfloat16 on the way.

    Args:
        a, b: Matrices of one floating-point type, with "bfloat16" float32 or already bfloat16.
        precision: "bfloat16", or the type of the matrices, in which they are multiplied as they are.
        transpose_a, transpose_b: Whether to transpose first.
    """
    if precision != "bfloat16":
        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    a, b = tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16)
    return tf.cast(tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b), tf.float32)
