"""The report's section about a search for hyperparameters."""

import pytest

from components.artifacts.trials import TRIALS
from pipeline.reporting import page, search
from tests.components.artifacts import samples

SPACE = [{"name": "learning_rate", "kind": "float", "min": 0.1, "max": 10.0, "scale": "log"},
         {"name": "units", "kind": "choice", "values": [8, 16], "scale": "linear"}]  # fmt: skip


def _trial(name, rate, units, perplexities, status="completed"):
    return samples.trial(name, perplexities, status, learning_rate=rate, units=units)


def _summary(best="1"):
    ended = [_trial("0", 1.0, 12, [120.0, 100.0]), _trial("1", 2.0, 16, [95.0, 90.0]),
             _trial("2", 10.0, 8, [900.0], "diverged"), _trial("3", 5.0, 8, [], "diverged")]  # fmt: skip
    return samples.trials(*ended, best=int(best), space=SPACE)


def _page(root, summary):
    folder = root / "Tuner" / "best_hyperparameters" / "6"
    folder.mkdir(parents=True)
    TRIALS.write(folder, summary)
    output = {"uri": "Tuner/best_hyperparameters/6", "type": "HyperParameters", "artifact_id": 1}
    tuner = {"name": "Tuner", "status": "executed", "seconds": 12.0, "execution_id": 6, "figures": {},
             "parameters": {}, "inputs": {}, "outputs": {"best_hyperparameters": output}}  # fmt: skip
    run = {"run_id": "r", "root": str(root), "started": "2026-01-02T03:04:05+00:00", "seconds": 12.0, "exit": 0,
           "error": None, "configuration": {}, "defaults": {}, "summary": {}, "components": [tuner]}  # fmt: skip
    page.write_report(run, root / "report.html")
    return (root / "report.html").read_text()


def test_the_section_says_by_how_much_the_best_beats_the_default(tmp_path):
    page = " ".join(_page(tmp_path, _summary()).split())
    assert "validation perplexity of 90, 10.0% below the default setting's 100" in page
    assert "2 completed, 2 diverged" in page and 'href="#tuning"' in page
    assert page.count("<polyline") == 4 and page.count('stroke-dasharray="4 3"') == 2
    assert page.index('data-label="perplexity">90') < page.index('data-label="perplexity">100')


def test_a_search_without_a_better_trial_is_reported_as_such(tmp_path):
    assert "No trial is better than the default setting" in " ".join(_page(tmp_path, _summary(best="0")).split())


def test_a_default_that_diverged_leaves_no_gain(tmp_path):
    page = _page(tmp_path, _summary() | {"default": None, "gain": None})
    assert "The trial of the default setting did not end well" in page


@pytest.mark.parametrize(
    ("value", "of", "place"),
    [
        (1.0, SPACE[0], 0.5),  # in the middle of its logarithmic axis
        (0.1, SPACE[0], 0.0),
        (10.0, SPACE[0], 1.0),
        (16, SPACE[1], 0.5),  # a choice; the default, which is not among the choices, comes after it
        (12, SPACE[1], 1.0),
    ],
)
def test_values_are_placed_by_their_scale(value, of, place):
    values = [0.1, 1.0, 10.0] if of is SPACE[0] else [8, 16, 12]
    assert search._Axis(of["name"], values, of).place(value) == pytest.approx(place)
