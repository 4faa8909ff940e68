"""Training steps to be timed, each in a process of its own: ours, PyTorch's, stock Keras's, the products alone.

    python -m benchmarks.contenders ours --units 200 --augmented

prints "ready", then for every line on standard input (a number of steps) the median seconds of that many steps.
"""

import argparse
import os
import statistics
import sys
import time

BATCH, TIME, VOCABULARY = 20, 35, 10_000


def token_ids():
    """Ids of two windows, distributed as words are (Zipf), int32 [batch, time] each."""
    import numpy as np

    weights = 1.0 / (np.arange(VOCABULARY) + 2.7)
    draw = np.random.default_rng(1).choice(VOCABULARY, size=(BATCH, TIME + 1), p=weights / weights.sum())
    return draw[:, :-1].astype(np.int32), draw[:, 1:].astype(np.int32)


def ours(options):
    """The step that Trainer runs: forward, loss, gradient, all-reduce, clip, update."""
    import tensorflow as tf

    from models.devices import choose_precision
    from models.distributed_step import make_step
    from models.language_model import LanguageModel
    from models.recipe import Recipe

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        precision = choose_precision(options.precision)
        model = LanguageModel(VOCABULARY, options.units, dropout=0.3, augmented=options.augmented, precision=precision)
    step = make_step(model, strategy, Recipe())
    inputs, targets = map(tf.constant, token_ids())
    scalars = {"learning_rate": 1.0, "temperature": 20.0, "gamma": 0.65, "embedding_rate": 1.0, "target_rate": 0.0}
    scalars = {key: tf.constant(value) for key, value in scalars.items()}
    carried = {"state": model.zero_state(BATCH), "step": 0}

    def run():
        carried["state"], metrics = step(inputs, targets, carried["state"], tf.constant(carried["step"]), scalars)
        carried["step"] += 1
        metrics.numpy()

    return run


def products(options):
    """The matrix products of our step and nothing else, in the types that it uses: the floor."""
    import tensorflow as tf

    from models.devices import choose_precision
    from models.products import product

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    precision = choose_precision(options.precision)
    tokens, units, gates = BATCH * TIME, options.units, 4 * options.units
    table, hidden = tf.random.normal([VOCABULARY, units]), tf.random.normal([tokens, units])
    d_logits = tf.cast(tf.random.normal([tokens, VOCABULARY]), precision)
    kernel, d_gates = tf.random.normal([units, gates]), tf.random.normal([tokens, gates])
    distinct = len(set(token_ids()[1].ravel().tolist()))
    state = tf.random.normal([BATCH, units])

    @tf.function
    def step():
        logits_precision = "float32" if options.augmented else precision
        results = [
            product(hidden, table, logits_precision, transpose_b=True),
            product(d_logits, table, precision),
            product(d_logits, hidden, precision, transpose_a=True),
        ]
        if options.augmented:
            results.append(tf.matmul(table[:distinct], table, transpose_b=True))
        for _ in range(2):  # layers
            results += [
                product(hidden, kernel, precision),
                product(d_gates, kernel, precision, transpose_b=True),
                product(hidden, d_gates, precision, transpose_a=True),
                product(hidden + 1.0, d_gates, precision, transpose_a=True),
            ]
            h, d_z = state, d_gates[:BATCH]
            for _ in range(TIME):
                h = tf.matmul(h, kernel)[:, :units] * 0.1
                d_z = tf.tile(tf.matmul(d_z, kernel, transpose_b=True), [1, 4]) * 0.1
            results += [h, d_z]
        return tf.add_n([tf.reshape(x, [-1])[0] for x in results])

    def run():
        step().numpy()

    return run


def keras_stock(options):
    """What a first Keras model does: `keras.layers.LSTM`, a dense softmax of its own, `fit`."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    inputs = keras.Input((TIME,), dtype="int32", batch_size=BATCH)
    x = keras.layers.Embedding(VOCABULARY, options.units)(inputs)
    for _ in range(2):
        x = keras.layers.LSTM(options.units, return_sequences=True)(keras.layers.Dropout(0.3)(x))
    model = keras.Model(inputs, keras.layers.Dense(VOCABULARY)(keras.layers.Dropout(0.3)(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=5.0), loss)
    steps = 4
    data = tf.data.Dataset.from_tensors(tuple(map(tf.constant, token_ids()))).repeat(steps)
    model.fit(data, verbose=0)

    def run():
        started = time.perf_counter()
        model.fit(data, verbose=0)
        return (time.perf_counter() - started) / steps

    return run


def torch_peer(options):
    """PyTorch's public word-language-model example (`--tied`): model, loss, clip and plain SGD at these shapes."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    units = options.units
    embedding, dropout = nn.Embedding(VOCABULARY, units), nn.Dropout(0.3)
    nn.init.uniform_(embedding.weight, -0.1, 0.1)
    lstm = nn.LSTM(units, units, num_layers=2, dropout=0.3)
    bias = nn.Parameter(torch.zeros(VOCABULARY))
    parameters = [embedding.weight, bias, *lstm.parameters()]
    inputs, targets = (torch.from_numpy(ids).long().T.contiguous() for ids in token_ids())
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--augmented", action="store_true")
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
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
