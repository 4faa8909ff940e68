"""The pipeline: which components it has and what each of them reads. All connections are made here."""

from pathlib import Path

from components.base import Component
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
    """The components in the order in which they run, each with its parameters and inputs."""
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
    vocabulary = vocabulary_gen.outputs["vocabulary"]

    transform = Transform(
        Transform.Parameters(
            max_unk_share=validator.max_unk_share,
            fail_on_unk="max_unk_share" in validator.errors,
            beam_args=beam_args,
        ),
        examples=examples,
        vocabulary=vocabulary,
    )
    transformed_examples = transform.outputs["transformed_examples"]

    recipe = dict(config.model) | dict(config.loss) | dict(config.trainer)
    training = Trainer.Parameters(**{name: recipe[name] for name in Trainer.Parameters.model_fields})
    tuned = {}
    if config.tuner.enabled:
        # What a trial does not depend on does not make a search stale.
        trial = training.model_copy(update={"epochs": config.tuner.epochs, "patience": None})
        search = {name: getattr(config.tuner, name) for name in SearchSettings.model_fields}
        tuner = Tuner(
            Tuner.Parameters(trainer=trial, space=tuning_checks.space(config), **search),
            transformed_examples=transformed_examples,
            vocabulary=vocabulary,
        )
        tuned = {"hyperparameters": tuner.outputs["best_hyperparameters"]}
    trainer = Trainer(training, transformed_examples=transformed_examples, vocabulary=vocabulary, **tuned)
    model = trainer.outputs["model"]

    evaluator = Evaluator(
        Evaluator.Parameters(**dict(config.evaluator), serving_dir=serving_dir(config), beam_args=beam_args),
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
    return [
        example_gen,
        statistics_gen,
        example_validator,
        vocabulary_gen,
        transform,
        *([tuner] if config.tuner.enabled else []),
        trainer,
        evaluator,
        infra_validator,
        pusher,
    ]


def serving_dir(config: Settings) -> Path:
    """Returns the folder that versions are pushed to: `pipeline.serving_dir`, or `serving` below the root."""
    return Path(config.pipeline.serving_dir or Path(config.pipeline.root) / "serving").expanduser()
