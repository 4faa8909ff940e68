"""Matrix products in the precision that a recipe asks for."""

import tensorflow as tf


def product(a, b, precision: str = "float32", transpose_a: bool = False, transpose_b: bool = False):
    """a @ b as float32, its operands and result rounded to bfloat16 on the way where `precision` says so.

    Args:
        a, b: Matrices, float32 or (with "bfloat16") already bfloat16.
        precision: "float32" or "bfloat16".
        transpose_a, transpose_b: Whether to transpose first.
    """
    if precision == "bfloat16":
        a, b = tf.cast(a, tf.bfloat16), tf.cast(b, tf.bfloat16)
    return tf.cast(tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b), tf.float32)
