"""The rows of a table: `experiments/<table>/<name>.yaml` holds what a row overrides of `pipeline_config.yaml`."""

import difflib
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.pipeline import create_pipeline

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = REPOSITORY / "experiments" / "ptb"
# Sections that do not affect the training: changing them does not make it another run.
NOT_OF_TRAINING = ("pipeline", "evaluator", "infra_validator", "pusher", "beam")


class RowError(Exception):
    """A row cannot be run: the message says what was found and what to do."""


@dataclass(frozen=True)
class Row:
    """One run of a row.

    Attributes:
        file: The YAML file.
        seed: `trainer.seed`.
        data_dir: Folder of the corpus's files.
        overrides: What the file sets, by dotted key.
        corpus: `dataset`, and the digests of its text.
    """

    file: Path
    seed: int
    data_dir: Path
    overrides: dict[str, Any]
    corpus: dict[str, Any]

    @property
    def name(self) -> str:
        """The row's name, which is the file's without `.yaml`."""
        return self.file.stem


def of_training(overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns the overrides that decide what is trained.

    Args:
        overrides: Dotted key -> value.
    """
    return {key: value for key, value in overrides.items() if key.split(".")[0] not in NOT_OF_TRAINING}


def is_default(table: Path) -> bool:
    """Returns whether a table is the Penn Treebank's, `experiments/ptb`.

    Args:
        table: Folder of the rows.
    """
    return table.resolve() == TABLE.resolve()


def roots(table: Path) -> Path:
    """Returns the folder of the runs' roots, which are named `<name>-seed<seed>`.

    Args:
        table: Folder of the rows. Tables other than the Penn Treebank's have a folder of their own, since their rows
            have the same names.
    """
    folder = REPOSITORY / "output" / "experiments"
    return folder if is_default(table) else folder / table.resolve().name


def names(table: Path) -> list[str]:
    """Returns the names of a table's rows.

    Args:
        table: Folder of the rows.
    """
    return sorted(file.stem for file in table.glob("*.yaml"))


def read(table: Path, name: str, seed: int, data_dir: Path) -> Row:
    """Reads a row and identifies its corpus.

    Args:
        table: Folder of the rows.
        name: The row's name.
        seed: `trainer.seed`.
        data_dir: Folder of the corpus's files.

    Raises:
        RowError: If there is no such row.
        ConfigurationError: If the row sets an unknown key or a wrong value.
        ComponentError: If the folder does not hold the corpus.
    """
    file = table / f"{name}.yaml"
    if not file.is_file():
        nearest = difflib.get_close_matches(name, names(table), n=1, cutoff=0.0)
        hint = f" The nearest is {nearest[0]}." if nearest else ""
        raise RowError(f"NAME: found {name!r}, expected one of {', '.join(names(table)) or 'no row at all'}.{hint}")
    configuration = config.load(file, [f"example_gen.data_dir={data_dir}", f"trainer.seed={seed}"])
    overrides = {key: configuration.values[key] for key, origin in configuration.origins.items() if origin == file.name}
    return Row(file, seed, data_dir, overrides, corpus(configuration))


def corpus(configuration: config.Configuration) -> dict[str, Any]:
    """Returns what identifies the text of a run: the dataset's name, and the digests that ExampleGen makes of it.

    Args:
        configuration: The run's configuration.

    Raises:
        ComponentError: If `example_gen.data_dir` does not hold the corpus.
    """
    example_gen = create_pipeline(configuration.settings)[0]
    return {"dataset": configuration.settings.example_gen.dataset, **example_gen.external_state({})}


def commit(row: Path) -> str:
    """Returns the current commit, with `-modified` if the code that the row runs, or the row itself, differs from it.

    A row outside the repository is not compared with anything; its settings are in the run's record.

    Args:
        row: The row's file.

    Returns:
        The commit, or "unknown" outside a clone.
    """
    paths = [REPOSITORY / folder for folder in ("models", "components", "pipeline")]
    if row.resolve().is_relative_to(REPOSITORY):
        paths.append(row.resolve())
    try:
        git = ["git", "-C", str(REPOSITORY)]
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*git, "status", "--porcelain", "--", *map(str, paths)]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # this is not a clone
    return f"{found}-modified" if changed else found


def machine() -> str:
    """Returns the processor's name, the number of cores that may be used, and the GPUs."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{processor or platform.processor() or platform.machine()}, {cores} core{'s' if cores > 1 else ''}"
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpus = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")
        found = "; ".join([found, *(gpu.strip() for gpu in gpus if gpu.strip())])
    return found
