"""The results of a search: its trials as JSON, as a table and for TensorBoard's HParams, and the best values."""

from pathlib import Path
from typing import Any

import rich.box
import tensorflow as tf
from rich.table import Table
from tensorboard.plugins.hparams import api as hparams

from components import number_format
from components.artifacts.trials import (
    RECORD,
    STATUSES,
    TRIALS,
    ShortTrial,
    Trial,
    Trials,
    lowest_perplexity,
    rank,
    write_best,
)
from components.base import ComponentError
from components.terminal import make_console
from components.tuner.oracles import OBJECTIVE
from components.tuner.search_space import Hyperparameter
from components.tuner.trial_tuner import TrialTuner

METRIC = OBJECTIVE.name


def write(tuner: TrialTuner, folder: Path, quiet: bool) -> dict[str, Any]:
    """Writes the outputs of a search that has ended, and returns its figures.

    Args:
        tuner: The tuner that searched, alone or as the chief.
        folder: The folder of the artifact `best_hyperparameters`.
        quiet: Whether the table of trials is not printed on standard error.

    Returns:
        The figures, see `components.tuner.executor.execute`.

    Raises:
        ComponentError: If no trial was completed.
    """
    trials = [RECORD.read(Path(tuner.get_trial_dir(name))) for name in tuner.oracle.start_order]
    completed = [trial for trial in trials if trial["status"] == "completed"]
    if not completed:
        reason = trials[0]["reason"] if trials else "There was no trial."
        raise ComponentError(
            f"None of {len(trials)} trials was completed. The first, with the Trainer's own setting: {reason} "
            "Change tuner.space or the setting."
        )
    best = min(completed, key=lambda trial: min(trial["valid_perplexity"]))
    default = trials[0] if trials[0]["status"] == "completed" else None
    summary = _summarize(tuner, trials, best, default)
    TRIALS.write(folder, summary)
    write_best(folder, tuner.oracle.get_trial(best["trial"]).hyperparameters.get_config())
    _write_logs(folder / "logs", trials, tuner.parameters.space)
    if not quiet:
        _show(summary)
    return {
        "trials": len(trials),
        "diverged": summary["counts"]["diverged"],
        "default_perplexity": default and lowest_perplexity(default),
        "best_perplexity": lowest_perplexity(best),
        "gain": summary["gain"],
        "best": number_format.settings(best["values"]),
        "failed": summary["counts"]["failed"],
        "ended_by": summary["ended_by"],
    }


def _summarize(tuner: TrialTuner, trials: list[Trial], best: Trial, default: Trial | None) -> Trials:
    """Returns the content of `trials.json`."""
    parameters = tuner.parameters
    return {
        "objective": METRIC,
        "algorithm": parameters.algorithm,
        "epochs": parameters.trainer.epochs,
        "space": [hyperparameter.model_dump() for hyperparameter in parameters.space],
        "unigram_perplexity": round(tuner.unigram_perplexity, 4),
        "default": None if default is None else _short(default),
        "best": _short(best),
        "gain": None if default is None else round(1 - lowest_perplexity(best) / lowest_perplexity(default), 6),
        "counts": {status: sum(trial["status"] == status for trial in trials) for status in STATUSES},
        "ended_by": _ended_by(tuner),
        "seconds": round(tuner.oracle.spent_seconds, 1),
        "trials": trials,
    }


def _short(trial: Trial) -> ShortTrial:
    return {"trial": trial["trial"], "valid_perplexity": lowest_perplexity(trial), "values": trial["values"]}


def _ended_by(tuner: TrialTuner) -> str:
    """Returns what ended the search: "trials", "minutes", or "space" if nothing was left to try."""
    if len(tuner.oracle.trials) >= tuner.parameters.max_trials:
        return "trials"
    return "minutes" if tuner.oracle.out_of_time else "space"


def _write_logs(folder: Path, trials: list[dict], space: list[Hyperparameter]) -> None:
    """Writes the logs of TensorBoard's HParams view, which `tensorboard --logdir` shows."""
    domains = [hparams.HParam(hyperparameter.name, _domain(hyperparameter)) for hyperparameter in space]
    with tf.summary.create_file_writer(str(folder)).as_default():
        hparams.hparams_config(domains, [hparams.Metric(METRIC, display_name="valid perplexity")])
    for trial in trials:
        with tf.summary.create_file_writer(str(folder / trial["trial"])).as_default():
            hparams.hparams(trial["values"], trial_id=trial["trial"])
            for epoch, value in enumerate(trial["valid_perplexity"], start=1):
                tf.summary.scalar(METRIC, value, step=epoch)


def _domain(hyperparameter: Hyperparameter):
    if hyperparameter.kind == "choice":
        return hparams.Discrete([hyperparameter.type(value) for value in hyperparameter.values])
    if hyperparameter.type is int:
        return hparams.IntInterval(int(hyperparameter.min), int(hyperparameter.max))
    return hparams.RealInterval(float(hyperparameter.min), float(hyperparameter.max))


def _show(summary: Trials) -> None:
    """Prints the table of trials on standard error, best first."""
    table = Table(title=_headline(summary), title_justify="left", box=rich.box.SIMPLE_HEAD)
    names = [hyperparameter["name"] for hyperparameter in summary["space"]]
    for title in ("trial", *names, "epochs", "valid perplexity", "seconds"):
        table.add_column(title.replace("_", " "), justify="right")
    table.add_column("status", no_wrap=True)
    for trial in sorted(summary["trials"], key=rank):
        values = map(number_format.setting, trial["values"].values())
        perplexity = lowest_perplexity(trial)
        remarks = [name for name in ("best", "default") if trial["trial"] == (summary[name] or {}).get("trial")]
        status = ", ".join(remarks) if remarks else trial["status"]
        figures = [str(len(trial["valid_perplexity"])), "–" if perplexity is None else f"{perplexity:.5g}"]
        table.add_row(trial["trial"], *values, *figures, f"{trial['seconds']:.0f}", status)
    make_console(wide_pipe=True).print(table)


def _headline(summary: Trials) -> str:
    if summary["gain"] is None:
        return "The trial with the default setting was not completed, so there is no gain to report"
    best, default = summary["best"]["valid_perplexity"], summary["default"]["valid_perplexity"]
    if summary["best"]["trial"] == summary["default"]["trial"]:
        return f"No trial is better than the default setting, valid perplexity {default:.2f}"
    return f"Best valid perplexity {best:.2f}, {summary['gain']:.1%} below the default setting's {default:.2f}"
