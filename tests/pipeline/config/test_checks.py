"""Keys about where training starts from and how its loss changes: what they take, and what reaches the Trainer."""

from pathlib import Path

import pytest

from components.trainer.component import Trainer
from pipeline import config, run
from pipeline.exit_codes import DONE, USAGE_ERROR
from pipeline.pipeline import create_pipeline


def message(*assignments):
    with pytest.raises(config.ConfigurationError) as caught:
        config.load(assignments=assignments)
    return str(caught.value)


def trainer_parameters(*assignments):
    components = create_pipeline(config.load(assignments=assignments).settings)
    return next(c.parameters for c in components if isinstance(c, Trainer))


def test_the_options_reach_the_trainer(tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2\n")
    parameters = trainer_parameters(
        f"model.pretrained_embeddings={tmp_path / 'glove.txt'}",
        "trainer.freeze_embedding_epochs=2",
        "loss.target=held",
        "loss.target_interval=7",
        "loss.temperature_schedule={start: 5.0, shape: exponential, length: 300, unit: steps}",
        "loss.gamma_schedule={start: 0.0}",
    )
    assert parameters.pretrained_embeddings == str(tmp_path / "glove.txt")
    assert (parameters.freeze_embedding_epochs, parameters.target, parameters.target_interval) == (2, "held", 7)
    expected = {"start": 5.0, "shape": "exponential", "length": 300.0, "unit": "steps"}
    assert parameters.temperature_schedule.model_dump() == expected
    linear = {"start": 0.0, "shape": "linear", "length": 1.0, "unit": "epochs"}
    assert parameters.gamma_schedule.model_dump() == linear
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "vocabulary.txt").touch()
    assert trainer_parameters(f"trainer.initial_model={tmp_path}").initial_model == str(tmp_path)


def test_without_options_the_loss_is_constant_and_the_papers():
    parameters = trainer_parameters()
    assert (parameters.target, parameters.temperature_schedule, parameters.gamma_schedule) == ("current", None, None)
    assert (parameters.pretrained_embeddings, parameters.initial_model) == (None, None)


@pytest.mark.parametrize(
    "assignments, expected",
    [
        (["loss.gamma_schedule=3"], "loss.gamma_schedule (from --set): found 3, expected a mapping of keys, or null."),
        (
            ["loss.gamma_schedule={start: 0, lenght: 1}"],
            "loss.gamma_schedule.lenght (from --set): found 1, expected no",
        ),
        (["loss.gamma_schedule={length: 1}"], "loss.gamma_schedule.start (from --set): found {'length': 1}, expected"),
        (
            ["loss.gamma_schedule={start: 0, length: 0}"],
            "loss.gamma_schedule.length (from --set): found 0, expected gr",
        ),
        (
            ["loss.gamma_schedule={start: 0, shape: exponential}"],
            "loss.gamma_schedule: found an exponential ramp from 0.0 to",
        ),
        (["loss.temperature_schedule={start: 0}"], "loss.temperature_schedule: found start 0, expected a temperature"),
        (["loss.target=fixed"], "loss.target (from --set): found 'fixed', expected 'current', 'held' or 'average'."),
        (["loss.target_interval=0"], "loss.target_interval (from --set): found 0, expected greater than or equal to 1"),
        (["loss.target_decay=1.0"], "loss.target_decay (from --set): found 1.0, expected less than 1"),
        (["loss.target=held", "loss.gradient_through_target=true"], "loss.target: found 'held', expected 'current'"),
        (["trainer.freeze_embedding_epochs=-1"], "trainer.freeze_embedding_epochs (from --set): found -1, expected gr"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_unusable_values_are_refused_by_name(assignments, expected):
    assert message(*assignments).startswith(expected)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("example_gen.dataset=text_files", "example_gen.data_dir is not set"),
        ("example_gen.data_dir=/no/such/folder", "example_gen.data_dir: found nothing at '/no/such/folder'"),
        (f"example_gen.data_dir={__file__}", "example_gen.data_dir: found a file"),
        ("model.pretrained_embeddings=none.txt", "model.pretrained_embeddings: found no file at 'none.txt', expected"),
        ("trainer.initial_model=none", "trainer.initial_model: found no folder at 'none', expected a pushed version"),
        (f"trainer.initial_model={Path(__file__).parent}", "trainer.initial_model: found no model in"),
    ],
)
def test_what_a_run_needs_is_missed_by_a_run_alone(assignment, expected, tmp_path, capsys):
    settings = ["--set", assignment, "--set", f"pipeline.root={tmp_path / 'root'}"]
    assert run.main(["--local", *settings]) == USAGE_ERROR
    assert capsys.readouterr().err.startswith(expected) and not (tmp_path / "root").exists()
    assert run.main(["--list", *settings]) == DONE


def test_word_vectors_and_an_initial_model_exclude_each_other(tmp_path):
    (tmp_path / "glove.txt").write_text("the 1 2\n")
    both = f"model.pretrained_embeddings={tmp_path / 'glove.txt'}", f"trainer.initial_model={tmp_path}"
    assert "both decide the embedding: set one" in message(*both)


def test_a_search_trains_in_one_process():
    text = message("tuner.enabled=true", "trainer.strategy=multi_worker_mirrored")
    assert text.startswith("tuner.enabled (--tune): found true, expected false with trainer.strategy")
