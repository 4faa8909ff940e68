"""Training steps to be timed, each in a separate process: ours, PyTorch's, stock Keras's, the products alone.

    python -m benchmarks.step_timings ours --units 200 --augmented

prints "ready", then for every line on standard input (a number of steps) the median seconds of that many steps.
"""

import argparse
import os
import statistics
import sys
import time

from models.allocator import keep_freed_memory

BATCH, TIME = 20, 35
WINDOWS = 100  # windows that our step reads in turn, again and again


def token_ids(vocabulary, shape):
    """Draws ids that are distributed like words (Zipf).

    Args:
        vocabulary: Number of words.
        shape: Shape of the result.

    Returns:
        int32 of that shape, the same at every call.
    """
    import numpy as np

    weights = 1.0 / (np.arange(vocabulary) + 2.7)
    return np.random.default_rng(1).choice(vocabulary, size=shape, p=weights / weights.sum()).astype(np.int32)


def window(vocabulary):
    """Draws inputs and targets of one window, int32 [batch, time] each.

    Args:
        vocabulary: Number of words.
    """
    ids = token_ids(vocabulary, (BATCH, TIME + 1))
    return ids[:, :-1], ids[:, 1:]


def ours(options):
    """Makes the step that `fit` runs: reading, forward, loss, gradient, all-reduce, clip, update, metrics.

    Args:
        options: Parsed options of the command.

    Returns:
        A function that runs one step.
    """
    import tensorflow as tf

    from models import LanguageModel, OnePassSGD, windows
    from models.training.devices import choose_precision, make_strategy

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    strategy = make_strategy(None, BATCH)  # all GPUs, or one CPU device
    with strategy.scope():
        precision = choose_precision(options.precision)
        loss = {"gradient_through_target": options.through} if options.augmented else {"augmented": False}
        model = LanguageModel(options.vocabulary, options.units, dropout=0.3, precision=precision, **loss)
        model.compile(OnePassSGD(1.0, global_clipnorm=5.0))
    data = windows(token_ids(options.vocabulary, (BATCH * TIME * WINDOWS,)), BATCH, TIME).repeat()
    iterator = iter(strategy.experimental_distribute_dataset(data))
    model.make_train_function()

    def run():
        float(model.train_function(iterator)["loss"])

    return run


def products(options):
    """Makes the matrix products of our step and nothing else, in the types that it uses: no step can be faster.

    Args:
        options: Parsed options of the command.

    Returns:
        A function that runs the products of one step.
    """
    import tensorflow as tf

    from models.training.devices import choose_precision

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    hidden = _normal(choose_precision(options.precision), BATCH * TIME, options.units)
    output_products = _products_of_the_output(options, hidden)
    layers = [_products_of_a_layer(hidden) for _ in range(2)]  # with equal tensors TensorFlow would compute one of them

    @tf.function
    def step():
        results = [*output_products(), *(result for layer_products in layers for result in layer_products())]
        return tf.add_n([tf.cast(tf.reshape(x, [-1])[0], tf.float32) for x in results])

    def run():
        step().numpy()

    return run


def _normal(dtype, *shape):
    import tensorflow as tf

    return tf.cast(tf.random.normal(shape), dtype)


def _products_of_the_output(options, hidden):
    """Makes the products of the logits, of their gradients, and of the augmented loss where the options ask for it."""
    import tensorflow as tf

    from models.layers.matmul import compiled_matmul

    table = _normal(hidden.dtype, options.vocabulary, options.units)
    d_logits = _normal(hidden.dtype, BATCH * TIME, options.vocabulary)
    unrounded = tf.function(lambda a, b: compiled_matmul(a, b, "float32"), jit_compile=True)
    words = table[: len(set(window(options.vocabulary)[1].ravel().tolist()))]
    d_similarity = _normal(hidden.dtype, words.shape[0], options.vocabulary) if options.through else None

    def output_products():
        results = [
            unrounded(hidden, table) if options.augmented else tf.matmul(hidden, table, transpose_b=True),
            tf.matmul(d_logits, table),
            tf.matmul(d_logits, hidden, transpose_a=True),
        ]
        if options.augmented:
            results.append(tf.matmul(words, table, transpose_b=True))
        if options.through:
            results += [unrounded(words, table), tf.matmul(d_similarity, words, transpose_a=True)]
            results.append(tf.matmul(d_similarity, table))
        return results

    return output_products


def _products_of_a_layer(hidden):
    """Makes the products of one layer over all its steps, and those of its steps."""
    import tensorflow as tf

    tokens, units = hidden.shape
    gates = 4 * units
    kernel, d_gates = _normal(hidden.dtype, units, gates), _normal(hidden.dtype, tokens, gates)
    recurrent_kernel, state, d_state = (
        _normal("float32", *shape) for shape in ((units, gates), (BATCH, units), (BATCH, gates))
    )
    small_products = _products_of_the_steps(units)

    def layer_products():
        return [
            tf.matmul(hidden, kernel),
            tf.matmul(d_gates, kernel, transpose_b=True),
            tf.matmul(hidden, d_gates, transpose_a=True),
            tf.matmul(-hidden, d_gates, transpose_a=True),
            *small_products(state, d_state, recurrent_kernel),
        ]

    return layer_products


def _products_of_the_steps(units):
    """Makes the products of one layer's steps forwards and backwards, each of which waits for the one before."""
    import tensorflow as tf

    @tf.function(jit_compile=True)
    def small_products(state, d_state, kernel):
        transposed = tf.transpose(kernel)

        def step(t, h, d):
            return t + 1, tf.matmul(h, kernel)[:, :units], tf.tile(tf.matmul(d, transposed), [1, 4])

        return tf.while_loop(lambda t, *_: t < TIME, step, [0, state, d_state], maximum_iterations=TIME)[1:]

    return small_products


def keras_stock(options):
    """Makes the step of a usual Keras model: `keras.layers.LSTM`, a separate dense softmax, `fit`.

    Args:
        options: Parsed options of the command.

    Returns:
        A function that runs a few steps and returns the seconds of one.
    """
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    inputs = keras.Input((TIME,), dtype="int32", batch_size=BATCH)
    x = keras.layers.Embedding(options.vocabulary, options.units)(inputs)
    for _ in range(2):
        x = keras.layers.LSTM(options.units, return_sequences=True)(keras.layers.Dropout(0.3)(x))
    model = keras.Model(inputs, keras.layers.Dense(options.vocabulary)(keras.layers.Dropout(0.3)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=5.0), loss)
    steps = 4
    data = tf.data.Dataset.from_tensors(tuple(map(tf.constant, window(options.vocabulary)))).repeat(steps)
    model.fit(data, verbose=0)

    def run():
        started = time.perf_counter()
        model.fit(data, verbose=0)
        return (time.perf_counter() - started) / steps

    return run


def torch_peer(options):
    """Makes the step of PyTorch's public word-language-model example (`--tied`): model, loss, clip and plain SGD.

    Args:
        options: Parsed options of the command.

    Returns:
        A function that runs one step.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    units = options.units
    embedding, dropout = nn.Embedding(options.vocabulary, units), nn.Dropout(0.3)
    nn.init.uniform_(embedding.weight, -0.1, 0.1)
    lstm = nn.LSTM(units, units, num_layers=2, dropout=0.3)
    bias = nn.Parameter(torch.zeros(options.vocabulary))
    parameters = [embedding.weight, bias, *lstm.parameters()]
    inputs, targets = (torch.from_numpy(ids).long().T.contiguous() for ids in window(options.vocabulary))
    state = tuple(torch.zeros(2, BATCH, units) for _ in range(2))

    def run():
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bfloat16"):
            hidden, _ = lstm(dropout(embedding(inputs)), state)
            logits = F.linear(dropout(hidden), embedding.weight, bias)
        logits = logits.float().flatten(0, 1)
        loss = F.cross_entropy(logits, targets.flatten())
        if options.augmented:
            table = embedding.weight.detach()
            target = F.softmax(table[targets.flatten()] @ table.T / 20.0, dim=-1)
            loss = loss + 0.65 * 20.0 * F.kl_div(F.log_softmax(logits / 20.0, dim=-1), target, reduction="batchmean")
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(parameter.grad, alpha=-1.0)

    return run


CONTENDERS = {"ours": ours, "products": products, "keras": keras_stock, "torch": torch_peer}


def main():
    """Warms up one contender, then times steps for every line of standard input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--augmented", action="store_true")
    parser.add_argument("--through", action="store_true", help="augmented, with the gradient through the target")
    options = parser.parse_args()
    options.augmented |= options.through
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    keep_freed_memory()  # as training does; PyTorch and Keras get it, too
    run = CONTENDERS[options.contender](options)
    for _ in range(3):
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            started = time.perf_counter()
            reported = run()
            seconds.append(reported or time.perf_counter() - started)
        print(statistics.median(seconds), flush=True)


if __name__ == "__main__":
    main()
