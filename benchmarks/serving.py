"""Times the exported model: in this process, bulk scoring, and over REST from a separate load process.

    python -m benchmarks.serving [--model DIR] [--seconds 10] [--output FILE]

The model is the pushed one unless --model names a folder of versions. Goals are for PTB small on 2 cores.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Row, publish
from models.serving import saved_model
from pipeline.serve import UsageError, add_model_arguments, model_folder

SERVER = [sys.executable, "-m", "pipeline.serve"]
CONNECTIONS = (1, 16, 64)
# figure -> (goal, whether the figure should be at most or at least the goal)
GOALS = {
    "next words, 20 words: median ms": (3.0, "at most"),
    "step: median ms": (0.6, "at most"),
    "score, one long text: tokens/s": (8_000, "at least"),
    "score, batches of 32: tokens/s": (30_000, "at least"),
    "bulk scoring: tokens/s": (30_000, "at least"),
    "REST, 1 connection: median ms": (8.0, "at most"),
    "REST, 64 connections: requests/s": (400, "at least"),
    "REST, 64 connections: 99% ms": (100.0, "at most"),
    "REST, 64 connections: errors": (0, "at most"),
}


def percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Computes median and 99th percentile in milliseconds.

    Args:
        name: Name of the figures.
        seconds: Seconds of each call.

    Returns:
        `NAME: median ms` and `NAME: 99% ms`.
    """
    ordered = sorted(seconds)
    return {
        f"{name}: median ms": statistics.median(ordered) * 1e3,
        f"{name}: 99% ms": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] * 1e3,
    }


def time_calls(call: Callable[[], object], calls: int) -> list[float]:
    """Times calls, after a few that warm up.

    Args:
        call: The function to call.
        calls: Number of calls that are timed.

    Returns:
        Seconds of each call.
    """
    for _ in range(3):
        call()
    seconds = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def sample_text(model: Path, words: int, seed: int = 1) -> str:
    """Draws words of the vocabulary, frequent ones more often, 25 a line.

    Args:
        model: Folder of the SavedModel.
        words: Number of words.
        seed: Seed of the draw. Default 1.

    Returns:
        The text.
    """
    vocabulary = (model / saved_model.VOCABULARY).read_text(encoding="utf-8", errors="replace").split("\n")[2:-1]
    weights = [1 / (rank + 10) for rank in range(len(vocabulary))]
    drawn = random.Random(seed).choices(vocabulary, weights, k=words)
    return "\n".join(" ".join(drawn[start : start + 25]) for start in range(0, words, 25))


def in_process(model: Path) -> dict[str, float]:
    """Measures the latency of the signatures, and tokens a second.

    Args:
        model: Folder of the SavedModel.

    Returns:
        Figures by name.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

    start = time.perf_counter()
    loaded = tf.saved_model.load(str(model))
    figures = {"loading: seconds": time.perf_counter() - start}
    signatures = loaded.signatures
    context = tf.constant([" ".join(sample_text(model, 20).split())])
    figures |= percentiles("next words, 20 words", time_calls(lambda: signatures["serving_default"](text=context), 300))
    state = tf.zeros([1, *signatures["step"].structured_input_signature[1]["state"].shape[1:]])
    ids = tf.constant([1], tf.int64)
    figures |= percentiles("step", time_calls(lambda: signatures["step"](token_ids=ids, state=state), 1000))
    long_text = sample_text(model, 40_000)
    for name, size, calls in (("1 KB", 1_000, 50), ("100 KB", 100_000, 5)):
        text = tf.constant([long_text[:size]])
        seconds = time_calls(lambda text=text: signatures["score"](text=text), calls)
        figures |= percentiles(f"score, {name}", seconds)
        if name == "100 KB":
            tokens = int(signatures["score"](text=text)["num_tokens"][0])
            figures["score, one long text: tokens/s"] = tokens / statistics.median(seconds)
    lines = long_text.split("\n")
    batches = [tf.constant(lines[start : start + 32]) for start in range(0, 320, 32)]
    tokens = sum(int(sum(signatures["score"](text=batch)["num_tokens"].numpy())) for batch in batches)
    seconds = time_calls(lambda: [signatures["score"](text=batch) for batch in batches], 5)
    return figures | {"score, batches of 32: tokens/s": tokens / statistics.median(seconds)}


def products_alone(model: Path, rows: int = 32, time_steps: int = 26) -> dict[str, float]:
    """Times only the matrix products of `step`, and of `score` on lines of 25 words.

    The weights are random, of the model's shapes; a step waits for the one before it as in the model.

    Args:
        model: Folder of the SavedModel.
        rows: Lines of a batch. Default 32.
        time_steps: Tokens of a line. Default 26: 25 words and `<eos>`.

    Returns:
        Figures by name.
    """
    import tensorflow as tf

    from models.serving import stored_weights

    weights = stored_weights.variables(tf.saved_model.load(str(model)))
    sizes = stored_weights.architecture([tuple(weight.shape) for weight in weights])
    layers, units, features = sizes["num_layers"], sizes["units"], sizes["embedding_units"]
    table, projection, *kernels = (
        tf.Variable(tf.random.normal(shape, stddev=0.05))
        for shape in ((sizes["vocabulary_size"], features), (features, units), (4 * units, features))
        + ((4 * units, units),) * (2 * layers - 1)
    )

    def product(hidden, kernel):
        return tf.matmul(hidden, kernel, transpose_b=True)

    @tf.function
    def products(inputs):
        of_inputs = tf.split(product(inputs, kernels[0]), inputs.shape[0] // rows_of(inputs))
        state, outputs = [tf.zeros([rows_of(inputs), units])] * layers, []
        for gates in of_inputs:
            for layer in range(layers):
                gates = product(state[layer - 1], kernels[2 * layer]) if layer else gates
                state[layer] = (gates + product(state[layer], kernels[2 * layer + 1]))[:, :units]
            outputs.append(state[-1])
        hidden = tf.concat(outputs, axis=0)
        return product(hidden if units == features else product(hidden, projection), table)

    def rows_of(inputs):
        return rows if inputs.shape[0] > 1 else 1

    one, batch = tf.random.normal([1, features]), tf.random.normal([rows * time_steps, features])
    nothing = tf.function(lambda hidden: hidden)
    return {
        "an empty call: median ms": statistics.median(time_calls(lambda: nothing(one), 1000)) * 1e3,
        "step, its products alone: median ms": statistics.median(time_calls(lambda: products(one), 1000)) * 1e3,
        "score, batches of 32, its products alone: tokens/s": rows
        * time_steps
        / statistics.median(time_calls(lambda: products(batch), 50)),
    }


def bulk(model: Path) -> dict[str, float]:
    """Measures the tokens a second of scoring a file, without loading the model.

    Args:
        model: Folder of the SavedModel.

    Returns:
        Figures by name.
    """
    from pipeline.scoring.scorer import Scorer

    scorer = Scorer(model)
    lines = sample_text(model, 100_000).encode().split(b"\n")
    scorer.score(lines[:500])
    start = time.perf_counter()
    _, tokens = scorer.score(lines)
    return {"bulk scoring: tokens/s": tokens / (time.perf_counter() - start)}


def over_rest(folder: Path, model: Path, seconds: float) -> dict[str, float]:
    """Measures requests a second and latency at 1, 16 and 64 connections, and the server's memory before and after.

    Args:
        folder: Folder of versions that the server loads.
        model: Folder of the SavedModel, for the words of the requests.
        seconds: Seconds of load at each number of connections.

    Returns:
        Figures by name.

    Raises:
        UsageError: If the server does not start.
    """
    command = [*SERVER, "--model", str(folder), "--port", "0", "--versions", "1"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    figures = {}
    try:
        line = next((line for line in server.stderr if "The page is at" in line), None)
        if line is None:
            raise UsageError("The server did not start; run `python -m pipeline.serve` to see why.")
        threading.Thread(target=server.stderr.read, daemon=True).start()
        port = int(line.split("The page is at ")[1].split("/,")[0].rpartition(":")[2])
        context = " ".join(sample_text(model, 20).split())
        for connections in CONNECTIONS:
            before = memory_mib(server.pid)
            load = [sys.executable, "-m", "benchmarks.http_load", str(port), str(connections), str(seconds), context]
            measured = json.loads(subprocess.run(load, capture_output=True, text=True, check=True).stdout)
            name = f"REST, {connections} connection{'s' if connections > 1 else ''}"
            figures |= {f"{name}: {key}": value for key, value in measured.items()}
            figures |= {f"{name}: MiB before": before, f"{name}: MiB after": memory_mib(server.pid)}
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
    return figures


def memory_mib(pid: int) -> float:
    """Reads the resident memory of a process.

    Args:
        pid: Id of the process.

    Returns:
        Memory in MiB.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def main() -> int:
    """Runs the benchmark with the options of the command line.

    Returns:
        The exit code: 0, or 2 if there is no model to measure.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    add_model_arguments(parser)
    parser.add_argument("--seconds", type=float, default=10.0, help="load at each number of connections (default: 10)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        model = saved_model.newest(model_folder(options))
        with tempfile.TemporaryDirectory() as folder:  # the newest version alone
            (Path(folder) / "1").symlink_to(model.resolve())
            figures = over_rest(Path(folder), model, options.seconds)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    figures = in_process(model) | products_alone(model) | bulk(model) | figures
    size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
    figures["SavedModel: MiB"] = size / 2**20
    publish((Row(name, value, "", *GOALS.get(name, ())) for name, value in figures.items()), options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
