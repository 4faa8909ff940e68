"""Trains a row of a table through the ordinary pipeline and records it.

    make experiment NAME=small_re SEED=1 DATA_DIR=FOLDER

runs `python -m pipeline.run --local --until Evaluator --config experiments/ptb/small_re.yaml` in the row's own root and
keeps `experiments/ptb/results.json` up to date while it trains. If it is killed, run the same command again to resume.

It stops at the Evaluator, because a row is trained to be measured, not served. Nothing is pushed, its root has no
baseline to compare with, and the latency of a machine that trains decides nothing. The gate still refuses a model that
is worse than a unigram model; that is a result, too, and recorded.
"""

import argparse
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Container
from pathlib import Path
from typing import Any

from components.artifacts.evaluation import EVALUATION
from components.artifacts.model_run import HISTORY
from components.base import ComponentError
from experiments import rows
from experiments.records import EPOCH_FIELDS, Records, RecordsError
from experiments.rows import Row, RowError
from pipeline.config import ConfigurationError
from pipeline.errors import RunnerError
from pipeline.exit_codes import DONE, FAILED, REFUSED, USAGE_ERROR
from pipeline.reporting.history import load_run
from pipeline.root import work_folder

MODEL_RUNS = f"Trainer/model_run/*/{HISTORY.file}"
POLL_SECONDS = 2.0  # between two looks at the training's progress
SAVE_SECONDS = 60.0  # between records if no epoch has ended: the most that a kill takes from `hours`


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parses the command line; exits with 2 and a usage line if it is wrong.

    Args:
        arguments: The words of the command line; by default those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m experiments.run",
        description=__doc__.splitlines()[0],
        epilog="exit codes: 0 finished; 2 bad usage, configuration or results file, nothing started; 3 finished and "
        "recorded, but worse than counting words; else the pipeline's own. The last line on standard output is the "
        "run's record as JSON.",
    )
    parser.add_argument("name", metavar="NAME", help="the row: NAME.yaml in the table's folder")
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and dropout (default 1)")
    parser.add_argument("--data-dir", metavar="FOLDER", type=Path, help="folder of the corpus's files")
    parser.add_argument(
        "--table", metavar="FOLDER", type=Path, default=rows.TABLE, help="folder of rows (default experiments/ptb)"
    )
    parser.add_argument(
        "--root",
        metavar="FOLDER",
        type=Path,
        help="default output/experiments/NAME-seedSEED; with --table output/experiments/TABLE/NAME-seedSEED",
    )
    parsed = parser.parse_args(arguments)
    if parsed.data_dir is None:
        parser.error("--data-dir (make: DATA_DIR) is missing: the folder of the corpus's files, such as ptb.train.txt")
    if not parsed.data_dir.is_dir():
        parser.error(f"--data-dir (make: DATA_DIR): found no folder at {parsed.data_dir}")
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parsed = parse_arguments(arguments)
    try:
        row = rows.read(parsed.table, parsed.name, parsed.seed, parsed.data_dir.absolute())
        records = Records(parsed.table)
        run = begin(row, records)
        root = (parsed.root or rows.roots(parsed.table) / f"{row.name}-seed{row.seed}").absolute()
        if run["status"] == "running":
            code = train(row, root, records, run)
        elif run["overrides"] != row.overrides:
            code = evaluate(row, root, records, run)
        else:
            print(f"{row.name}, seed {row.seed}, is finished; {records.path} has it.", file=sys.stderr)
            code = DONE
    except (RowError, RecordsError, ConfigurationError, ComponentError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    print(json.dumps(run, allow_nan=False), flush=True)
    return code


def begin(row: Row, records: Records) -> dict[str, Any]:
    """Returns the run as it is recorded if it is finished, otherwise one to train or resume, with the status `running`.

    Args:
        row: The row.
        records: The table's results.

    Raises:
        RowError: If the run that is recorded under the row's name was trained with other or unknown settings.
        RecordsError: If the table was measured on another corpus, or the results file is damaged.
    """
    records.check_corpus(row.corpus)
    known = records.find(row.name, row.seed)
    if known is None:
        started = dict.fromkeys(("valid_perplexity", "test_perplexity"))
        known = {"name": row.name, "seed": row.seed, "hours": 0.0, "epochs": [], **started, "adaptive": {}}
    elif "overrides" not in known:
        raise RowError(
            f"{records.path} has {row.name}, seed {row.seed}, without its settings (overrides), so that it cannot be "
            "compared with the row. Give the row another name, or remove that run from the file to train it again."
        )
    elif changed := _changed(rows.of_training(known["overrides"]), rows.of_training(row.overrides)):
        raise RowError(
            f"{records.path} has {row.name}, seed {row.seed}, with another {', '.join(changed)}. Give the changed row "
            "its own name, or remove that run from the file to train it again."
        )
    elif known["status"] == "finished":
        return known
    described = {"overrides": row.overrides, "corpus": row.corpus}
    return {**known, "commit": rows.commit(row.file), "machine": rows.machine(), "status": "running", **described}


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*old, *new} if old.get(key) != new.get(key))


def train(row: Row, root: Path, records: Records, run: dict[str, Any]) -> int:
    """Runs the pipeline to its end and keeps the record up to date.

    Args:
        row: The row.
        root: `pipeline.root` of the run.
        records: The table's results.
        run: The run's record, which is changed in place.

    Returns:
        The exit code.
    """
    earlier = set(root.glob(MODEL_RUNS))  # of a training that may have nothing to do with this one
    child = _start(row, root)
    clock, saved = time.monotonic() - 3600 * run["hours"], -math.inf
    while not _has_ended(child):
        has_news, now = _update(root, run, clock, earlier), time.monotonic()
        if has_news or now - saved > SAVE_SECONDS:
            _save(records, run, "Training continues.")
            saved = now
    ended = child.returncode in (DONE, REFUSED)
    _update(root, run, clock, set() if ended else earlier)
    if ended:
        run |= results(root, _summary(child))
    else:
        print(f"{row.name}, seed {row.seed}, is not finished. The same command resumes it.", file=sys.stderr)
    recorded = _save(records, run, "Once it can be, the same command records what was trained.")
    return child.returncode if recorded and child.returncode >= 0 else FAILED


def evaluate(row: Row, root: Path, records: Records, run: dict[str, Any]) -> int:
    """Evaluates a finished run again, with the row's current section `evaluator`.

    Args:
        row: The row.
        root: `pipeline.root` of the run.
        records: The table's results.
        run: The run's record, which is changed in place.

    Returns:
        The exit code.

    Raises:
        RowError: If the Trainer starts: another training must not replace what is recorded.
        RecordsError: If the results file is damaged or cannot be written.
    """
    workspaces = work_folder(root, "Trainer")
    abandoned = set(workspaces.glob("*"))  # trainings that ended early because the code was edited
    child = _start(row, root)
    while not _has_ended(child):
        if set(workspaces.glob("*")) - abandoned:
            child.terminate()
            child.wait()
            raise RowError(
                f"{row.name}, seed {row.seed}, would be trained again: its model is not below {root}, or the code that "
                f"trains has changed since {run['commit']}. Its record was not changed."
            )
    if child.returncode in (DONE, REFUSED):
        run |= results(root, _summary(child)) | {"overrides": row.overrides}
        records.save(run)
    return child.returncode if child.returncode >= 0 else FAILED


def _start(row: Row, root: Path) -> subprocess.Popen:
    """Starts the pipeline. It ends by SIGTERM when this process gets one; Ctrl-C reaches both."""
    values = {"pipeline.root": root, "example_gen.data_dir": row.data_dir, "trainer.seed": row.seed}
    command = [sys.executable, "-m", "pipeline.run", "--local", "--until", "Evaluator", "--config", row.file.absolute()]
    command += [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    child = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=rows.REPOSITORY)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    signal.signal(signal.SIGINT, lambda *_: None)  # this process waits for the child's end
    return child


def _summary(child: subprocess.Popen) -> dict[str, Any]:
    """Returns the run's summary, the last line on the pipeline's standard output."""
    return json.loads(child.stdout.read().strip().splitlines()[-1])


def _update(root: Path, run: dict[str, Any], clock: float, ignored: Container[Path]) -> bool:
    """Updates the record; returns whether an epoch has ended.

    Args:
        root: The pipeline's root.
        run: The run's record.
        clock: Monotonic time at which the run would have begun without interruptions.
        ignored: Files of finished trainings that are not this one.
    """
    history = history_so_far(root, ignored)
    epochs = [{field: epoch[field] for field in EPOCH_FIELDS} for epoch in history] or run["epochs"]
    news = epochs != run["epochs"]
    if news:
        found = [epoch["valid_perplexity"] for epoch in epochs if epoch["valid_perplexity"] is not None]
        run |= {"epochs": epochs, "valid_perplexity": min(found, default=None)}
    of_epochs = sum(epoch.get("seconds", 0.0) for epoch in history)  # larger if the record itself was lost
    run["hours"] = round(max(time.monotonic() - clock, of_epochs) / 3600, 4)
    return news


def _has_ended(child: subprocess.Popen) -> bool:
    """Waits for a moment; returns whether the child has ended."""
    try:
        child.wait(POLL_SECONDS)
        return True
    except subprocess.TimeoutExpired:
        return False


def _save(records: Records, run: dict[str, Any], otherwise: str) -> bool:
    """Records the run; returns whether that worked. A file that cannot be written must not stop the training."""
    try:
        records.save(run)
        return True
    except RecordsError as error:
        print(f"{error} {otherwise}", file=sys.stderr)
        return False


def history_so_far(root: Path, ignored: Container[Path] = ()) -> list[dict[str, Any]]:
    """Returns the epochs that the newest training below a root has finished.

    The Trainer keeps `history.json` in its workspace while it trains, and among its outputs when it is done.

    Args:
        root: The pipeline's root.
        ignored: Files of finished trainings that do not count.
    """
    workspaces = work_folder(root, "Trainer")
    files = [*workspaces.glob(f"*/{HISTORY.file}"), *(file for file in root.glob(MODEL_RUNS) if file not in ignored)]
    try:
        newest = max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
        return HISTORY.read(newest.parent)["epochs"] if newest else []
    except (OSError, ComponentError):  # the file is being renamed
        return []


def results(root: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Returns what a finished run adds to its record: status, perplexities, and those of the adaptive modes.

    Args:
        root: The pipeline's root.
        summary: The run's summary.
    """
    adaptive = {}
    try:
        steps = {step["name"]: step for step in load_run(root, summary["run_id"])["components"]}
        evaluated = EVALUATION.read(root / steps["Evaluator"]["outputs"]["evaluation"]["uri"])["adaptive"]
        adaptive = {mode: {"valid": found["eval"], "test": found["test"]} for mode, found in evaluated.items()}
    except RunnerError as error:
        print(error, file=sys.stderr)
    figures = {key: summary[key] for key in ("valid_perplexity", "test_perplexity")}
    return {"status": "finished", **figures, "adaptive": adaptive}


if __name__ == "__main__":
    sys.exit(main())
