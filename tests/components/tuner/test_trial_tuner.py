"""When a trial has diverged, without its training."""

import json
import types

import pytest
from keras_tuner.errors import FailedTrialError

from components.terminal import make_console
from components.tuner.oracles import IDENTITY
from components.tuner.trial_tuner import TrialTuner
from tests.components.tuner import search_process


class Training:
    """Stands for the training of a trial that ends after these (training, valid) perplexities."""

    def __init__(self, recipe, perplexities):
        self.recipe, self.perplexities = recipe, perplexities

    def trial_parameters(self, values):
        del values
        return self.recipe

    def build(self, hyperparameters):
        del hyperparameters

    def fit(self, hyperparameters, model, folder, on_epoch, stop_requested):
        del hyperparameters, model, folder, stop_requested
        for number, (train, valid) in enumerate(self.perplexities, 1):
            figures = {"epoch": number, "train_perplexity": train, "valid_perplexity": valid, "seconds": 1.0}
            on_epoch(figures, False)


@pytest.mark.parametrize(
    ("options", "perplexities", "diverged_after"),
    [
        ({}, [(120.0, 100.0), (30.0, 40.0)], 1),
        ({"ema": 0.999}, [(120.0, 100.0), (30.0, 40.0)], None),
        ({"ema": 0.999}, [(120.0, 100.0), (40.0, 60.0)], None),  # the average lags behind still
        ({"ema": 0.999}, [(120.0, 100.0), (300.0, 150.0), (900.0, 400.0)], 3),  # ended by patience
        ({"ema": 0.999}, [(120.0, float("inf"))], 1),
    ],
)
def test_a_trial_above_the_unigram_model_has_diverged(tmp_path, monkeypatch, options, perplexities, diverged_after):
    parameters = search_process.parameters(trainer=search_process.DEFAULT | options | {"epochs": 40})
    tuner = object.__new__(TrialTuner)
    for name, value in {
        "identity": "search",
        "unigram_perplexity": 50.0,
        "trained": 0,
        "_console": make_console(),
        "parameters": parameters,
        "hypermodel": Training(parameters.trainer, perplexities),
        "get_trial_dir": lambda trial_id: str(tmp_path),
    }.items():
        setattr(tuner, name, value)
    monkeypatch.setattr(TrialTuner, "tuner_id", "chief", raising=False)
    values = {IDENTITY: "search", **{h.name: h.samples()[0] for h in parameters.space}}
    trial = types.SimpleNamespace(trial_id="0", hyperparameters=types.SimpleNamespace(values=values))
    if diverged_after is None:
        assert tuner.run_trial(trial) == {"val_perplexity": min(valid for _, valid in perplexities)}
    else:
        with pytest.raises(FailedTrialError, match=f"after epoch {diverged_after}, "):
            tuner.run_trial(trial)
    status = json.loads((tmp_path / "record.json").read_text())["status"]
    assert status == ("completed" if diverged_after is None else "diverged")
