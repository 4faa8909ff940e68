"""The search space: what is refused before anything runs, and what a component's parameters become."""

import pytest

from components.trainer.component import Trainer
from components.tuner.search_space import TUNABLE, Hyperparameter, default_space, in_words
from pipeline import config
from pipeline.pipeline import create_pipeline

RATE = "{name: learning_rate, kind: float, min: 0.5, max: 2}"


def refused(space, *assignments):
    with pytest.raises(config.ConfigurationError) as caught:
        config.load(None, ["tuner.enabled=true", f"tuner.space={space}", *assignments])
    return str(caught.value)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("[]", "tuner.space: found [], expected at least one"),
        ("nonsense", "tuner.space (from --set): found 'nonsense'"),
        ("[{kind: int}]", "tuner.space.0.name"),
        ("[{name: learningrate, kind: float, min: 1, max: 2}]", "the nearest is learning_rate"),
        ("[{name: epochs, kind: int, min: 1, max: 2}]", "a parameter of the Trainer that can be tuned"),
        ("[{name: dropout, kind: float, min: 0.5, max: 0.1}]", "min below max, not 0.5 and 0.1"),
        ("[{name: dropout, kind: float, min: 0.5}]", "both min and max"),
        ("[{name: gamma, kind: float, min: 0, max: 1, scale: log}]", "min above 0 on a log scale"),
        ("[{name: gamma, kind: float, min: 0.1, max: 1, scale: log, step: 1}]", "a step above 1 on a log scale"),
        ("[{name: units, kind: float, min: 8, max: 16}]", "kind int, since units is a whole number"),
        ("[{name: units, kind: int, min: 8.5, max: 16}]", "whole numbers"),
        ("[{name: units, kind: wide, min: 8, max: 9}]", "'float', 'int' or 'choice'"),
        ("[{name: units, kind: choice, values: [8]}]", "at least two, all different"),
        ("[{name: units, kind: choice, values: [8, 8]}]", "at least two, all different"),
        ("[{name: units, kind: choice, values: [8, eight]}]", "values of type int, not 'eight'"),
        ("[{name: units, kind: choice, values: [8, 9], max: 9}]", "no max with kind choice"),
        ("[{name: target, kind: choice, values: [current, hold]}]", "target: found 'hold'"),
        ("[{name: dropout, kind: float, min: 0, max: 1.2}]", "dropout: found 1.2, expected less than 1"),
        (f"[{RATE}, {RATE}]", "learning_rate is in it more than once"),
        ("[{name: decay, kind: float, min: 0.5, max: 0.9}]", "ends before the learning rate decays"),
        ("[{name: target_decay, kind: float, min: 0.5, max: 0.9}]", "no effect while loss.target is 'current'"),
    ],
)
def test_a_space_that_cannot_be_searched_is_a_configuration_error(space, expected):
    assert expected in refused(space, "trainer.decay_start_epoch=5")


def test_a_space_that_contradicts_another_key_is_a_configuration_error(tmp_path):
    units, vectors = "[{name: units, kind: int, min: 100, max: 300, step: 100}]", tmp_path / "vectors.txt"
    vectors.write_text("the 1 2 3\n")
    assert "units is fixed by the width" in refused(units, f"model.pretrained_embeddings={vectors}")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "vocabulary.txt").touch()
    assert "units is fixed by trainer.initial_model" in refused(units, f"trainer.initial_model={tmp_path}")
    batches = "[{name: batch_size, kind: int, min: 10, max: 40, step: 5}]"
    assert "expected a multiple of replicas" in refused(batches, "trainer.replicas=2")
    gamma = "[{name: gamma, kind: float, min: 0.1, max: 1}]"
    assert "no effect while loss.augmented is False" in refused(gamma, "loss.augmented=false")


def test_a_space_is_not_checked_if_nothing_is_searched():
    assert config.load(None, ["tuner.space=[]"]).settings.tuner.space == []


def test_the_built_in_space_leaves_the_augmented_loss_out_if_it_is_off():
    for augmented in (True, False):
        settings = config.load(None, ["tuner.enabled=true", f"loss.augmented={augmented}"]).settings
        [tuner] = [component for component in create_pipeline(settings) if component.name == "Tuner"]
        names = {hyperparameter.name for hyperparameter in tuner.parameters.space}
        assert names >= {"learning_rate", "dropout", "clip_norm"}
        assert ({"gamma", "temperature"} <= names) == augmented


def test_the_ranges_of_a_space_are_described_in_words():
    text = "learning_rate 0.3 to 3, dropout 0 to 0.6 and clip_norm 1 to 10"
    assert in_words(default_space(augmented=False)) == text


def test_everything_that_can_be_tuned_is_a_parameter_of_the_trainer():
    for name, kind in TUNABLE.items():
        default = Trainer.Parameters.model_fields[name].default
        assert kind in (bool, int, float, str) and (default is None or type(default) is kind)


def test_a_key_that_is_null_can_be_searched_once_it_has_a_value_for_the_first_trial():
    whole = "[{name: embedding_units, kind: choice, values: [64, 128]}]"
    assert "set that key, or leave embedding_units out" in refused(whole)
    share = "[{name: output_dropout, kind: float, min: 0.1, max: 0.5}]"
    assert "no value for the first trial, since model.output_dropout is null" in refused(share)
    for space, first in ((whole, "model.embedding_units=64"), (share, "model.output_dropout=0.2")):
        given = ["tuner.enabled=true", f"tuner.space={space}", first]
        [hyperparameter] = config.load(None, given).settings.tuner.space
        assert hyperparameter.type in (int, float)


def test_the_tuner_runs_before_the_trainer_and_feeds_it():
    components = create_pipeline(
        config.load(None, ["tuner.enabled=true", "tuner.epochs=2", "trainer.epochs=4"]).settings
    )
    names = [component.name for component in components]
    assert names.index("Tuner") == names.index("Trainer") - 1
    tuner, trainer = components[names.index("Tuner")], components[names.index("Trainer")]
    assert trainer.inputs["hyperparameters"] == tuner.outputs["best_hyperparameters"]
    assert (tuner.parameters.trainer.epochs, trainer.parameters.epochs) == (2, 4)
    assert "Tuner" not in [component.name for component in create_pipeline(config.load().settings)]


def test_a_longer_final_training_does_not_make_a_search_stale():
    keys = []
    for epochs in (10, 40):
        components = create_pipeline(config.load(None, ["tuner.enabled=true", f"trainer.epochs={epochs}"]).settings)
        [tuner] = [component for component in components if component.name == "Tuner"]
        keys.append(tuner.parameters.model_dump_json())
    assert keys[0] == keys[1]


def test_a_hyperparameter_is_written_as_it_was_given():
    given = {"name": "units", "kind": "choice", "values": [8, 16]}
    assert Hyperparameter(**given).model_dump() == given | {"scale": "linear"}
