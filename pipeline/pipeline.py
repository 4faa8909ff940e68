"""The pipeline: which components there are and what each reads. All of the wiring is here."""

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
from components.tuner.component import Tuner
from components.vocabulary_gen.component import VocabularyGen
from pipeline.config import Settings, tuning_checks


def create_pipeline(config: Settings) -> list[Component]:
    """The components in the order in which they run, each with its parameters and inputs."""
    beam_args = config.beam.args
    tokenizer = config.vocabulary.model_dump(include={"tokenizer", "lowercase", "keep_blank_lines"})

    example_gen = ExampleGen(ExampleGen.Parameters(**config.example_gen.model_dump(), beam_args=beam_args))
    examples = example_gen.outputs["examples"]

    statistics_gen = StatisticsGen(StatisticsGen.Parameters(**tokenizer, beam_args=beam_args), examples=examples)
    example_validator = ExampleValidator(
        ExampleValidator.Parameters(**config.example_validator.model_dump()),
        statistics=statistics_gen.outputs["statistics"],
    )
    vocabulary_gen = VocabularyGen(
        VocabularyGen.Parameters(**config.vocabulary.model_dump(), beam_args=beam_args), examples=examples
    )
    vocabulary = vocabulary_gen.outputs["vocabulary"]

    validator = config.example_validator
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

    recipe = config.model.model_dump(exclude={"preset"}) | config.loss.model_dump() | config.trainer.model_dump()
    training = Trainer.Parameters(**recipe)
    tuned = {}
    if config.tuner.enabled:
        # What a trial does not depend on does not make a search stale.
        trial = training.model_copy(update={"epochs": config.tuner.epochs, "patience": None})
        budget = config.tuner.model_dump(include={"algorithm", "max_trials", "max_minutes"})
        tuner = Tuner(
            Tuner.Parameters(trainer=trial, space=tuning_checks.space(config), **budget),
            transformed_examples=transformed_examples,
            vocabulary=vocabulary,
        )
        tuned = {"hyperparameters": tuner.outputs["best_hyperparameters"]}
    trainer = Trainer(training, transformed_examples=transformed_examples, vocabulary=vocabulary, **tuned)
    model = trainer.outputs["model"]

    evaluator = Evaluator(
        Evaluator.Parameters(**config.evaluator.model_dump(), serving_dir=serving_dir(config), beam_args=beam_args),
        model=model,
        transformed_examples=transformed_examples,
        examples=examples,
        vocabulary=vocabulary,
    )
    infra_validator = InfraValidator(
        InfraValidator.Parameters(**config.infra_validator.model_dump()),
        model=model,
        examples=examples,
        transformed_examples=transformed_examples,
    )
    pusher = Pusher(
        Pusher.Parameters(**config.pusher.model_dump(), serving_dir=serving_dir(config)),
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
    """Folder that versions are pushed to: `pipeline.serving_dir`, or `serving` below the root."""
    return Path(config.pipeline.serving_dir or Path(config.pipeline.root) / "serving").expanduser()
