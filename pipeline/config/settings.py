"""The configuration's sections: every key with its type, bounds and built-in default."""

from typing import Any, Literal

import pydantic

from components.evaluator.adaptive.settings import AdaptiveSettings
from components.example_validator.component import ExampleValidator
from components.tuner.search_space import Hyperparameter
from pipeline.config.types import PathText, Text, Whole


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
