"""The real wiring: every component is made from the configuration, in an order that the runner accepts."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import commands, config
from pipeline.pipeline import create_pipeline

REPOSITORY = Path(__file__).parents[2]


def test_components_are_in_the_order_of_the_flow():
    names = [component.name for component in create_pipeline(config.load().settings)]
    expected = (
        "ExampleGen StatisticsGen ExampleValidator VocabularyGen Transform Trainer Evaluator InfraValidator Pusher"
    )
    assert names == expected.split()


def test_the_configuration_reaches_the_components():
    settings = config.load(
        assignments=(
            "pipeline.root=elsewhere",
            "example_gen.dataset=wikitext2",
            "model.preset=medium",
            "loss.gamma=0.1",
            "pusher.keep_versions=9",
            "beam.args=[--runner=FlinkRunner]",
            "example_validator.max_unk_share=0.3",
            "example_validator.errors=[max_unk_share]",
        )
    ).settings
    parameters = {component.name: component.parameters for component in create_pipeline(settings)}
    trainer = parameters["Trainer"]
    assert (trainer.units, trainer.dropout, trainer.gamma, trainer.epochs) == (650, 0.4, 0.1, 50)
    assert parameters["VocabularyGen"].tokenizer == parameters["StatisticsGen"].tokenizer == "whitespace"
    assert parameters["Evaluator"].beam_args == parameters["Transform"].beam_args == ["--runner=FlinkRunner"]
    assert parameters["Evaluator"].serving_dir == parameters["Pusher"].serving_dir == Path("elsewhere/serving")
    assert parameters["Pusher"].keep_versions == 9
    assert parameters["ExampleValidator"].errors == ["max_unk_share"]
    assert (parameters["Transform"].max_unk_share, parameters["Transform"].fail_on_unk) == (0.3, True)


@pytest.mark.parametrize("dataset", ["penn_treebank", "wikitext2", "wikitext103", "text_files"])
def test_a_corpus_without_its_files_is_refused_before_a_run(dataset):
    with pytest.raises(config.ConfigurationError, match=r"example_gen.data_dir is not set: .*" + dataset):
        commands.local(argparse.Namespace(until=None), config.load(assignments=(f"example_gen.dataset={dataset}",)))


def test_making_the_pipeline_needs_no_tensorflow():
    code = (
        "import sys; from pipeline import commands, config; commands.checked_pipeline(config.load())\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
