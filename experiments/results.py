"""Prints what a grid of settings came to as a table, and draws its curves.

python -m experiments.results experiments/results/precision [--plot experiments/results/precision.png]
"""

import argparse
import json
import math
import statistics
from collections import defaultdict
from pathlib import Path


def read(folder: Path) -> list[dict]:
    """The results of a grid, in the order in which they were finished last; those still in training are left out."""
    results = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"), key=lambda f: f.stat().st_mtime)]
    return [r for r in results if "test_perplexity" in r]


def table(results: list[dict]) -> list[str]:
    """Markdown: a row a setting, its perplexities (training / valid) after each epoch and on the test split."""
    epochs = max(len(r["epochs"]) for r in results)
    lines = [
        f"| training / valid after epoch | {' | '.join(map(str, range(1, epochs + 1)))} | test | ratio |",
        f"| --- |{' --- |' * (epochs + 2)}",
    ]
    for result in sorted(results, key=lambda r: r["name"]):
        cells = [f"{e['train_perplexity']:.1f} / {e['valid_perplexity']:.2f}" for e in result["epochs"]]
        cells += [""] * (epochs - len(cells))
        last = result["epochs"][-1]
        ratio = last["valid_perplexity"] / last["train_perplexity"]
        lines.append(f"| {result['name']} | {' | '.join(cells)} | {result['test_perplexity']:.2f} | {ratio:.3f} |")
    return lines


def means(results: list[dict]) -> list[str]:
    """Markdown: mean and range over seeds of the last valid perplexity, for names that differ in `seed N` alone."""
    of_seeds = defaultdict(list)
    for result in results:
        of_seeds[result["name"].rpartition(" seed ")[0]].append(result["epochs"][-1]["valid_perplexity"])
    lines = ["| valid perplexity at the end | mean | seeds | from | to |", "| --- | --- | --- | --- | --- |"]
    for name, values in sorted(of_seeds.items()):
        row = [name, f"{statistics.mean(values):.2f}", len(values), f"{min(values):.2f}", f"{max(values):.2f}"]
        lines.append(f"| {' | '.join(map(str, row))} |")
    return lines


def plot(results: list[dict], file: Path) -> None:
    """Draws the valid perplexity of every setting against the epoch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 5), layout="constrained")
    styles = ["-", "--", ":"]
    for i, result in enumerate(sorted(results, key=lambda r: r["name"])):
        values = [e["valid_perplexity"] for e in result["epochs"]]
        axis.plot(range(1, len(values) + 1), values, styles[i // 10 % 3], marker=".", label=result["name"])
    lowest = min(e["valid_perplexity"] for r in results for e in r["epochs"])
    axis.set(xlabel="epoch", ylabel="valid perplexity", yscale="log", ylim=(0.97 * lowest, 2.2 * lowest))
    axis.set_yticks([t for t in range(100, 500, 20) if 0.97 * lowest < t < 2.2 * lowest], minor=False)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_xticks(range(1, 1 + max(len(r["epochs"]) for r in results)))
    axis.legend(fontsize="small", ncols=math.ceil(len(results) / 10))
    figure.savefig(file, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what an experiment wrote (its --output)")
    parser.add_argument("--plot", type=Path, help="PNG file for the curves")
    options = parser.parse_args()
    results = read(options.folder)
    if not results:
        raise SystemExit(f"{options.folder} has no finished result (*.json with a test_perplexity).")
    lines = table(results)
    if any(" seed " in r["name"] for r in results):
        lines += ["", *means(results)]
    print("\n".join(lines))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
