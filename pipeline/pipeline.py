"""The pipeline: which components it has and what each of them reads. All connections are made here."""

from pathlib import Path

from components.base import Channel, Component
from components.evaluator.component import Evaluator
from components.example_gen.component import ExampleGen
from components.example_validator.component import ExampleValidator
from components.infra_validator.component import InfraValidator
from components.pusher.component import Pusher
from components.statistics_gen.component import StatisticsGen
from components.trainer.component import Trainer
from components.transform.component import Transform
from components.tuner.component import SearchSettings, Tuner
from components.vocabulary_gen.component import VocabularyGen
from models.settings import TokenizerSettings
from pipeline.config import Settings, tuning_checks


def create_pipeline(config: Settings) -> list[Component]:
    """Creates the components in the order in which they run, each with its parameters and inputs.

    Args:
        config: The resolved settings.

    Raises:
        pydantic.ValidationError: If a component's parameters contradict each other.
    """
    data = _data_components(config)
    example_gen, _, _, vocabulary_gen, transform = data
    examples = example_gen.outputs["examples"]
    transformed_examples = transform.outputs["transformed_examples"]
    vocabulary = vocabulary_gen.outputs["vocabulary"]
    training = _training_components(config, transformed_examples, vocabulary)
    model = training[-1].outputs["model"]

    evaluator = Evaluator(
        Evaluator.Parameters(**dict(config.evaluator), serving_dir=serving_dir(config), beam_args=config.beam.args),
        model=model,
        transformed_examples=transformed_examples,
        examples=examples,
        vocabulary=vocabulary,
    )
    infra_validator = InfraValidator(
        config.infra_validator,
        model=model,
        examples=examples,
        transformed_examples=transformed_examples,
    )
    pusher = Pusher(
        Pusher.Parameters(**dict(config.pusher), serving_dir=serving_dir(config)),
        model=model,
        blessing=evaluator.outputs["blessing"],
        infra_blessing=infra_validator.outputs["blessing"],
    )
    return [*data, *training, evaluator, infra_validator, pusher]


def _data_components(config: Settings) -> tuple[ExampleGen, StatisticsGen, ExampleValidator, VocabularyGen, Transform]:
    beam_args = config.beam.args
    example_gen = ExampleGen(ExampleGen.Parameters(**dict(config.example_gen), beam_args=beam_args))
    examples = example_gen.outputs["examples"]

    tokenizer = {name: getattr(config.vocabulary, name) for name in TokenizerSettings.model_fields}
    statistics_gen = StatisticsGen(StatisticsGen.Parameters(**tokenizer, beam_args=beam_args), examples=examples)
    validator = config.example_validator
    example_validator = ExampleValidator(validator, statistics=statistics_gen.outputs["statistics"])
    vocabulary_gen = VocabularyGen(
        VocabularyGen.Parameters(**dict(config.vocabulary), beam_args=beam_args), examples=examples
    )
    transform = Transform(
        Transform.Parameters(
            max_unk_share=validator.max_unk_share,
            fail_on_unk="max_unk_share" in validator.errors,
            beam_args=beam_args,
        ),
        examples=examples,
        vocabulary=vocabulary_gen.outputs["vocabulary"],
    )
    return example_gen, statistics_gen, example_validator, vocabulary_gen, transform


def _training_components(config: Settings, transformed_examples: Channel, vocabulary: Channel) -> list[Component]:
    """Creates the Tuner, if it is enabled, and the Trainer, which comes last."""
    recipe = dict(config.model) | dict(config.loss) | dict(config.trainer)
    parameters = Trainer.Parameters(**{name: recipe[name] for name in Trainer.Parameters.model_fields})
    inputs = {"transformed_examples": transformed_examples, "vocabulary": vocabulary}
    if not config.tuner.enabled:
        return [Trainer(parameters, **inputs)]
    # A change of the Trainer's own epochs and patience must not make a search stale.
    trial = parameters.model_copy(update={"epochs": config.tuner.epochs, "patience": None})
    search = {name: getattr(config.tuner, name) for name in SearchSettings.model_fields}
    tuner = Tuner(Tuner.Parameters(trainer=trial, space=tuning_checks.space(config), **search), **inputs)
    return [tuner, Trainer(parameters, **inputs, hyperparameters=tuner.outputs["best_hyperparameters"])]


def serving_dir(config: Settings) -> Path:
    """Returns the folder that versions are pushed to: `pipeline.serving_dir`, or `serving` below the root.

    Args:
        config: The resolved settings.
    """
    return Path(config.pipeline.serving_dir or Path(config.pipeline.root) / "serving").expanduser()
