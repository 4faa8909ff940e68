"""The configuration: every key with its type, bounds and built-in default, checked before anything runs.

Which value wins: `--set`, then the file, then the model's preset and the corpus's profile, then the built-in default.
`null` in the file (or in `--set`) leaves the decision to the next one. This module needs no TensorFlow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydantic

from components.evaluator.adaptive.settings import AdaptiveSettings
from components.example_validator.component import ExampleValidator
from components.tuner.search_space import Hyperparameter
from models import presets
from pipeline import config_file, config_messages, training_options, tuning_options
from pipeline.config_types import PathText, Text, Whole, is_text
from pipeline.tracking import options as tracking_options


class ConfigurationError(Exception):
    """The configuration cannot be used: the message names each key, what was found and what was expected."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PipelineSection(_Section):
    root: PathText = "output"
    serving_dir: PathText | None = None


class ExampleGenSection(_Section):
    dataset: Text = "python_docs"
    data_dir: PathText | None = None
    pattern: Text = "**/*.txt{,.gz}"
    document: Literal["file", "block"] = "file"
    source_url: Text | None = pydantic.Field(None, pattern="^https?://")
    source_sha256: Text | None = pydantic.Field(None, pattern="^[0-9a-f]{64}$")
    chunk_bytes: Whole = pydantic.Field(8_388_608, ge=65_536)


class ExampleValidatorSection(_Section, ExampleValidator.Parameters):
    """The component's own settings."""


class VocabularySection(_Section):
    max_size: Whole = pydantic.Field(20_000, ge=0)
    min_count: Whole = pydantic.Field(2, ge=1)
    tokenizer: Literal["whitespace", "unicode_words", "wordpiece"] = "unicode_words"
    lowercase: bool = False
    keep_blank_lines: bool = False


class ModelSection(_Section):
    preset: Literal["small", "medium", "large"] | None = None
    units: Whole = pydantic.Field(200, ge=1)
    num_layers: Whole = pydantic.Field(2, ge=1)
    dropout: float = pydantic.Field(0.3, ge=0, lt=1)
    tie_embeddings: bool = True
    output_bias: bool = False
    init_scale: float = pydantic.Field(0.1, gt=0)
    pretrained_embeddings: PathText | None = None


class ScheduleSection(_Section):
    """A ramp of `loss.temperature` or `loss.gamma`, which is the value that it ends at."""

    start: float = pydantic.Field(ge=0)
    shape: Literal["linear", "exponential"] = "linear"
    length: float = pydantic.Field(1.0, gt=0)
    unit: Literal["epochs", "steps"] = "epochs"


class LossSection(_Section):
    augmented: bool = True
    temperature: float = pydantic.Field(20.0, gt=0)
    gamma: float = pydantic.Field(0.65, ge=0)
    gradient_through_target: bool = False
    target: Literal["current", "held", "average"] = "current"
    target_interval: Whole = pydantic.Field(500, ge=1)
    target_decay: float = pydantic.Field(0.999, ge=0, lt=1)
    temperature_schedule: ScheduleSection | None = None
    gamma_schedule: ScheduleSection | None = None


class TrainerSection(_Section):
    batch_size: Whole = pydantic.Field(20, ge=1)
    sequence_length: Whole = pydantic.Field(35, ge=1)
    epochs: Whole = pydantic.Field(40, ge=1)
    learning_rate: float = pydantic.Field(1.0, gt=0)
    decay: float = pydantic.Field(0.9, gt=0, le=1)
    decay_start_epoch: Whole = pydantic.Field(5, ge=0)
    clip_norm: float = pydantic.Field(5.0, gt=0)
    optimizer: Literal["sgd", "momentum", "adam", "adamw", "nadam", "rmsprop"] = "sgd"
    momentum: float | None = pydantic.Field(None, ge=0, lt=1)
    nesterov: bool | None = None
    beta_1: float | None = pydantic.Field(None, ge=0, lt=1)
    beta_2: float | None = pydantic.Field(None, ge=0, lt=1)
    rho: float | None = pydantic.Field(None, ge=0, lt=1)
    epsilon: float | None = pydantic.Field(None, gt=0)
    weight_decay: float | None = pydantic.Field(None, ge=0)
    ema: float | None = pydantic.Field(None, gt=0, lt=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    replicas: Whole | None = pydantic.Field(None, ge=1)
    seed: Whole = pydantic.Field(1, ge=0)
    checkpoint_seconds: float = pydantic.Field(60.0, gt=0)
    patience: Whole | None = pydantic.Field(None, ge=1)
    initial_model: PathText | None = None
    freeze_embedding_epochs: Whole = pydantic.Field(0, ge=0)
    export_dtype: Literal["float32", "float16", "int8"] = "float32"


class TunerSection(_Section):
    enabled: bool = False
    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "bayesian"
    max_trials: Whole = pydantic.Field(12, ge=1)
    max_minutes: float | None = pydantic.Field(None, gt=0)
    epochs: Whole = pydantic.Field(3, ge=1)
    space: list[Hyperparameter] | None = None


class EvaluatorSection(_Section, AdaptiveSettings):
    max_perplexity: float | None = pydantic.Field(None, gt=1)
    max_regression: float = pydantic.Field(0.02, ge=0)
    rules: list[dict[str, Any]] = []


class InfraValidatorSection(_Section):
    max_latency_ms: float = pydantic.Field(1000.0, ge=0)


class PusherSection(_Section):
    keep_versions: Whole = pydantic.Field(3, ge=1)


class BeamSection(_Section):
    args: list[Text] = ["--runner=FnApiRunner"]


class TrackingSection(_Section):
    mlflow_uri: Text | None = None
    registered_model: Text = pydantic.Field("tied-language-model", pattern="^[^/:]+$")


class Settings(_Section):
    """All values, resolved: `settings.trainer.batch_size` is the key `trainer.batch_size`."""

    pipeline: PipelineSection
    example_gen: ExampleGenSection
    example_validator: ExampleValidatorSection
    vocabulary: VocabularySection
    model: ModelSection
    loss: LossSection
    trainer: TrainerSection
    tuner: TunerSection
    evaluator: EvaluatorSection
    infra_validator: InfraValidatorSection
    pusher: PusherSection
    beam: BeamSection
    tracking: TrackingSection


@dataclass(frozen=True)
class Configuration:
    """The resolved configuration and where it comes from.

    Attributes:
        settings: The values, typed and checked.
        values: The same, flat: dotted key -> JSON value.
        defaults: What each key would be had nobody set it: decided by this corpus, this preset or built in.
        origins: Dotted key -> "--set", the file's name, "preset small", "profile penn_treebank" or "default".
    """

    settings: Settings
    values: dict[str, Any]
    defaults: dict[str, Any]
    origins: dict[str, str]

    @property
    def changed(self) -> dict[str, Any]:
        """The values that differ from their defaults."""
        return {key: value for key, value in self.values.items() if value != self.defaults[key]}


BUILT_IN: dict[str, Any] = {
    f"{section}.{key}": field.get_default()
    for section, section_field in Settings.model_fields.items()
    for key, field in section_field.annotation.model_fields.items()
}
TEXT_KEYS = {
    f"{section}.{key}"
    for section, section_field in Settings.model_fields.items()
    for key, field in section_field.annotation.model_fields.items()
    if is_text(field.annotation)
}


def load(file: Path | None = None, assignments: Iterable[str] = ()) -> Configuration:
    """Reads, resolves and checks the configuration.

    Args:
        file: A YAML file of sections and keys, or None for the built-in values alone.
        assignments: `section.key=VALUE` each, VALUE in YAML (of a key that takes text: as it is); they win over the
            file.

    Raises:
        ConfigurationError: If a key is unknown or a value is not what the key takes; names them all.
    """
    given, origins = {}, {}
    try:
        layers = [(file.name, config_file.read(file))] if file else []
        layers += [("--set", config_file.parse_assignment(text, TEXT_KEYS)) for text in assignments]
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    for origin, layer in layers:
        unknown = config_messages.unknown_keys(layer, origin, BUILT_IN)
        if unknown:
            raise ConfigurationError("\n".join(unknown))
        given |= layer
        origins |= dict.fromkeys(layer, origin)
    given = {key: value for key, value in given.items() if value is not None}

    decided, decided_by = _decided(given)
    values = BUILT_IN | decided | given
    origins = {key: origins[key] if key in given else decided_by.get(key, "default") for key in BUILT_IN}
    settings = _validated(values, origins)
    problems = contradictions(settings) or tuning_options.problems(settings, contradictions)
    if problems:
        raise ConfigurationError("\n".join(problems))
    values = {
        f"{name}.{key}": value for name, section in settings.model_dump().items() for key, value in section.items()
    }
    return Configuration(settings, values, BUILT_IN | decided, origins)


def _decided(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What the corpus and the preset decide, and which of them decides it."""
    dataset = given.get("example_gen.dataset", BUILT_IN["example_gen.dataset"])
    profile = presets.profile(dataset) if isinstance(dataset, str) else {}
    preset_name = given.get("model.preset", profile.get("model.preset"))
    known = isinstance(preset_name, str) and preset_name in presets.PRESETS
    preset = presets.preset(preset_name, dataset) if known else {}
    decided_by = dict.fromkeys(profile, f"profile {dataset}") | dict.fromkeys(preset, f"preset {preset_name}")
    return profile | preset, decided_by


def _validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    nested: dict[str, dict[str, Any]] = {name: {} for name in Settings.model_fields}
    for key, value in values.items():
        section, _, name = key.partition(".")
        nested[section][name] = value
    try:
        return Settings.model_validate(nested)
    except pydantic.ValidationError as error:
        raise ConfigurationError("\n".join(config_messages.messages(error, origins))) from error


def contradictions(settings: Settings) -> list[str]:
    """One message wherever keys contradict each other or name what does not exist."""
    data, model, trainer = settings.example_gen, settings.model, settings.trainer
    problems = []
    if data.dataset == "text_files" and data.data_dir is None:
        problems.append(
            "example_gen.data_dir is not set: example_gen.dataset=text_files needs the folder of the texts."
        )
    if data.data_dir is not None and not Path(data.data_dir).expanduser().is_dir():
        found = "a file" if Path(data.data_dir).expanduser().exists() else "nothing"
        problems.append(f"example_gen.data_dir: found {found} at {data.data_dir!r}, expected an existing folder.")
    if (data.source_url is None) != (data.source_sha256 is None):
        problems.append("example_gen.source_url and example_gen.source_sha256 go together: set both or neither.")
    if trainer.replicas and trainer.batch_size % trainer.replicas:
        problems.append(
            f"trainer.batch_size: found {trainer.batch_size}, expected a multiple of trainer.replicas, "
            f"{trainer.replicas}: each replica takes the same number of lanes."
        )
    if settings.vocabulary.max_size in (1, 2):
        problems.append(
            f"vocabulary.max_size: found {settings.vocabulary.max_size}, expected 3 or more (<unk> and <eos> are "
            "two of them), or 0 for every word."
        )
    if model.tie_embeddings and model.output_bias:
        problems.append("model.output_bias: found true, expected false: a tied output layer has no bias (b = 0).")
    problems += tracking_options.problems(settings.tracking.mlflow_uri)
    return problems + training_options.problems(model, settings.loss, trainer)
