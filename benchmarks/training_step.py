"""Times a training step against PyTorch, stock Keras and its own matrix products, in turn in one run.

    python -m benchmarks.training_step [--rounds 5] [--steps 8] [--units 200 650] [--vocabulary 10000] [--output FILE]

Every contender has a separate process and waits while another runs. A ratio is the median over the rounds of the two
contenders' ratio within the round, so that a drift of the machine's speed has little effect on it.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row, publish

# (row, numerator, denominator, {units: goal}, whether the ratio should be at least or at most the goal)
ROWS = [
    ("fastest PyTorch / RE, default precision", "fastest torch", "RE", {200: 1.6, 650: 1.4}, "at least"),
    ("PyTorch float32 / RE float32", "torch float32", "RE float32", {200: 1.4, 650: 1.4}, "at least"),
    ("fastest PyTorch augmented / REAL", "fastest torch augmented", "REAL", {200: 2.5, 650: 2.5}, "at least"),
    ("RE / its own products", "RE", "products", {200: 1.7, 650: 1.7}, "at most"),
    ("REAL / RE", "REAL", "RE", {200: 1.4, 650: 1.4}, "at most"),
    ("REAL through the target / RE", "REAL through", "RE", {200: 1.6, 650: 1.6}, "at most"),
    ("stock Keras / RE", "keras", "RE", {200: 3.0, 650: 3.0}, "at least"),
]
CONTENDERS = {
    "RE": ["ours"],
    "REAL": ["ours", "--augmented"],  # without the gradient through the target
    "REAL through": ["ours", "--through"],  # with it, the default
    "RE float32": ["ours", "--precision", "float32"],
    "products": ["products"],
    "REAL products": ["products", "--augmented"],
    "REAL through products": ["products", "--through"],
    "float32 products": ["products", "--precision", "float32"],
    "keras": ["keras"],
    "torch float32": ["torch", "--precision", "float32"],
    "torch bfloat16": ["torch", "--precision", "bfloat16"],
    "torch augmented float32": ["torch", "--precision", "float32", "--augmented"],
    "torch augmented bfloat16": ["torch", "--precision", "bfloat16", "--augmented"],
}
# Our steps, and the contenders that run only the matrix products of these steps.
FLOORS = {
    "RE": "products",
    "REAL": "REAL products",
    "REAL through": "REAL through products",
    "RE float32": "float32 products",
}
FASTEST = {
    "fastest torch": ["torch float32", "torch bfloat16"],
    "fastest torch augmented": ["torch augmented float32", "torch augmented bfloat16"],
}


class Contender:
    """A contender's process, started and warmed up.

    Args:
        arguments: Arguments of `benchmarks.step_timings`.
        units: Size of the hidden states.
        vocabulary: Number of words.
        threads: Threads of each operation.

    Raises:
        SystemExit: If it does not start.
    """

    def __init__(self, arguments: list[str], units: int, vocabulary: int, threads: int):
        command = [sys.executable, "-m", "benchmarks.step_timings", *arguments]
        command += ["--units", str(units), "--vocabulary", str(vocabulary), "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{' '.join(command)} did not start; run it by hand (extra `bench` brings PyTorch).")

    def seconds(self, steps: int) -> float:
        """Runs steps and returns the median of their seconds.

        Args:
            steps: Number of steps.
        """
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def measure(units: int, vocabulary: int, threads: int, rounds: int, steps: int) -> list[dict[str, float]]:
    """Measures every contender in turn.

    Args:
        units: Size of the hidden states.
        vocabulary: Number of words.
        threads: Threads of each operation.
        rounds: Number of rounds.
        steps: Steps of a contender in a round.

    Returns:
        A dict for each round: contender -> seconds a step.
    """
    contenders = {name: Contender(arguments, units, vocabulary, threads) for name, arguments in CONTENDERS.items()}
    results = []
    for _ in range(rounds):
        seconds = {name: contender.seconds(steps) for name, contender in contenders.items()}
        results.append(seconds | {name: min(seconds[n] for n in names) for name, names in FASTEST.items()})
    for contender in contenders.values():
        contender.process.kill()
    return results


def rows(all_units: list[int], vocabulary: int, threads: int, rounds: int, steps: int) -> Iterator[Row]:
    """Yields the milliseconds a step of each size, then its ratios with their goals.

    Args:
        all_units: Sizes of the hidden states.
        vocabulary: Number of words.
        threads: Threads of each operation.
        rounds: Number of rounds.
        steps: Steps of a contender in a round.
    """
    for units in all_units:
        results = measure(units, vocabulary, threads, rounds, steps)
        for name in CONTENDERS:
            yield Row(f"{units} units: {name}", statistics.median(r[name] for r in results) * 1e3, "ms")
        for name, over, under, goals, direction in ROWS:
            if units in goals:
                note = ""
                if under in FLOORS:
                    bound = _ratio(results, FLOORS.get(over, over), FLOORS[under])
                    note = f"with the products alone {bound:.2f}"
                    if direction == "at least":
                        note += f"; the goal is {bound / goals[units]:.2f} times the products"
                yield Row(f"{units} units: {name}", _ratio(results, over, under), "", goals[units], direction, note)


def _ratio(results: list[dict[str, float]], over: str, under: str) -> float:
    return statistics.median(r[over] / r[under] for r in results)


def main():
    """Runs the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, nargs="*", default=[200, 650])
    parser.add_argument("--vocabulary", type=int, default=10_000, help="words")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    options = parser.parse_args()
    publish(rows(options.units, options.vocabulary, options.threads, options.rounds, options.steps), options.output)


if __name__ == "__main__":
    main()
