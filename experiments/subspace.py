"""The paper's subspace experiment (Fig. 1): the distance of W from the column space of L, against β and against τ.

    python -m experiments.subspace --data-dir FOLDER --output experiments/results

In theory the augmented loss, minimised alone at a high temperature, puts the projection W into the column space of the
embedding L, so that the two can be the same matrix. The experiment trains an untied network on 20,000 words with the
loss β J_aug τ² |V| + (1 - β) J, keeps the rows of L at norm 1, and measures the distance of W from L.

The losses are written here as in the paper and differentiated by TensorFlow, independently of
`models.layers.augmented_loss`.
"""

import argparse
import dataclasses
import json
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from components.base import ComponentError
from components.evaluator.figures.subspace_distance import subspace_distance
from components.example_gen import corpora
from experiments import subspace_network
from models import files

BETAS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
TEMPERATURES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
PANEL_TEMPERATURE, PANEL_BETA = 10.0, 1.0  # τ in the panel against β, β in the panel against τ
WORDS = 20_000
EPOCHS = 25


@dataclasses.dataclass(frozen=True)
class Point:
    """One network to train.

    Attributes:
        beta: β, the weight of the augmented loss, 0 to 1.
        temperature: τ.
        seed: Seed of the initial weights.
    """

    beta: float
    temperature: float
    seed: int

    @property
    def name(self) -> str:
        """Identifies the point in file names."""
        return f"beta_{self.beta:g}_tau_{self.temperature:g}_seed_{self.seed}"


def points(seeds: int) -> list[Point]:
    """Returns the points of both panels, which share one; all points of the first seed come first.

    Args:
        seeds: Number of networks for each setting.
    """
    settings = [(beta, PANEL_TEMPERATURE) for beta in BETAS]
    settings += [(PANEL_BETA, tau) for tau in TEMPERATURES if tau != PANEL_TEMPERATURE]
    return [Point(*setting, seed) for seed in range(1, seeds + 1) for setting in settings]


def read_words(data_dir: Path) -> tuple[np.ndarray, int]:
    """Reads the first `WORDS` words of the training split, counting `<eos>`.

    Args:
        data_dir: Folder of the Penn Treebank's files.

    Returns:
        Ids, int32 [WORDS], and the number of different words.
    """
    train = corpora.local_files("penn_treebank", data_dir)["train"]
    lines = train.read_text(encoding="utf-8").splitlines()
    words = [word for line in lines[:WORDS] for word in [*line.split(), "<eos>"]][:WORDS]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    return np.array([vocabulary[word] for word in words], np.int32), len(vocabulary)


def train(point: Point, data_dir: Path, epochs: int, file: Path) -> dict:
    """Trains one network and writes its result, with both losses and the distance every five epochs.

    Args:
        point: The network's settings.
        data_dir: Folder of the Penn Treebank's files.
        epochs: Number of epochs.
        file: The JSON file to write.

    Returns:
        The result.

    Raises:
        FloatingPointError: If the loss is not finite.
    """
    started = time.process_time()
    ids, vocabulary_size = read_words(data_dir)
    history = []
    network = subspace_network.Network(point.beta, point.temperature, point.seed, vocabulary_size)
    for epoch, (cross_entropy, augmented) in enumerate(network.train(ids, epochs), 1):
        if epoch % 5 and epoch < epochs:
            continue
        projection, embedding = network.projection.numpy(), network.embedding.numpy()
        basis, _ = np.linalg.qr(projection)
        history.append(
            {
                "epoch": epoch,
                "cross_entropy": cross_entropy,
                "augmented_loss": augmented,
                "distance": subspace_distance(projection, embedding),
                "distance_of_bases": subspace_distance(basis, embedding),
            }
        )
    result = dataclasses.asdict(point) | {
        "epochs": epochs,
        "vocabulary_size": vocabulary_size,
        "history": history,
        "cpu_seconds": round(time.process_time() - started),
    }
    files.write_text(file, json.dumps(result, indent=1) + "\n")
    return result


def run(options: argparse.Namespace) -> None:
    """Trains the points that have no result yet, several at a time with one thread each.

    Args:
        options: The command's options.
    """
    folder = options.output / "subspace"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    paths = {point: folder / f"{point.name}.json" for point in points(options.seeds)}
    waiting = {p: f for p, f in paths.items() if not f.exists() or json.loads(f.read_text())["epochs"] < options.epochs}
    with ProcessPoolExecutor(options.processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [pool.submit(train, p, options.data_dir, options.epochs, f) for p, f in waiting.items()]
        for done, job in enumerate(as_completed(jobs), 1):
            result = job.result()
            name = Point(*(result[field.name] for field in dataclasses.fields(Point))).name
            distance, seconds = result["history"][-1]["distance"], result["cpu_seconds"]
            print(f"{done} of {len(jobs)}: {name}: distance {distance:.3f} ({seconds} s of CPU time)", flush=True)


def summarise(output: Path) -> dict:
    """Gathers the points' results into `subspace.json`.

    Args:
        output: The folder of the results.

    Returns:
        The summary: for each panel its points, with the mean and every seed of each figure.
    """
    results = [json.loads(file.read_text()) for file in _finished(output)]

    def panel(key, fixed, value):
        chosen = [r for r in results if r[fixed] == value]
        rows = []
        for x in sorted({r[key] for r in chosen}):
            of_seeds = {str(r["seed"]): r["history"][-1] for r in chosen if r[key] == x}
            row = {key: x}
            for figure in ("distance", "distance_of_bases", "augmented_loss", "cross_entropy"):
                values = {seed: round(last[figure], 5) for seed, last in of_seeds.items()}
                row[figure] = {"mean": round(statistics.mean(values.values()), 5), "seeds": values}
            rows.append(row)
        return {fixed: value, "points": rows}

    summary = {
        "words": WORDS,
        "vocabulary_size": results[0]["vocabulary_size"],
        "epochs": results[0]["epochs"],
        "against_beta": panel("beta", "temperature", PANEL_TEMPERATURE),
        "against_temperature": panel("temperature", "beta", PANEL_BETA),
    }
    (output / "subspace.json").write_text(json.dumps(summary, indent=1) + "\n")
    return summary


def _finished(output: Path) -> list[Path]:
    return sorted((output / "subspace").glob("beta_*.json"))


def plot(summary: dict, file: Path) -> None:
    """Draws both panels: a dot for each seed and a line through the means.

    Args:
        summary: What `summarise` returns.
        file: The picture to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    panels = [("against_beta", "beta", "β  (τ = 10)"), ("against_temperature", "temperature", "τ  (β = 1)")]
    for axis, (panel, key, label) in zip(axes, panels, strict=True):
        rows = summary[panel]["points"]
        axis.plot([r[key] for r in rows], [r["distance"]["mean"] for r in rows])
        for row in rows:
            values = list(row["distance"]["seeds"].values())
            axis.plot([row[key]] * len(values), values, "o", color="C0", markersize=3)
        axis.set(xlabel=label, ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("distance of W from the column space of L")
    axes[1].set_xscale("log")
    axes[1].set_xticks([r["temperature"] for r in rows], [f"{r['temperature']:g}" for r in rows])
    axes[1].minorticks_off()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="folder of the Penn Treebank's files")
    parser.add_argument("--output", type=Path, required=True, help="folder for subspace.json, .png and the points")
    parser.add_argument("--seeds", type=int, default=3, help="networks of each point (default 3)")
    parser.add_argument(
        "--processes", type=int, default=1, help="networks trained at a time, a thread each (default 1)"
    )
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    parser.add_argument("--no-plot", action="store_true", help="do not draw (needs no matplotlib)")
    parser.add_argument("--plot-only", action="store_true", help="gather and draw the points that are there")
    options = parser.parse_args()
    if not options.plot_only:
        if options.data_dir is None:
            parser.error("--data-dir is needed to train")
        try:
            corpora.local_files("penn_treebank", options.data_dir)
        except ComponentError as error:
            parser.error(f"--data-dir: {str(error).removeprefix('example_gen.data_dir: ')}")
        run(options)
    elif not _finished(options.output):
        parser.error(f"--output {options.output}: found no point in subspace/. Train them first, without --plot-only.")
    summary = summarise(options.output)
    if not options.no_plot:
        plot(summary, options.output / "subspace.png")


if __name__ == "__main__":
    main()
