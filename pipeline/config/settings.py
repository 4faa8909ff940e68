"""The configuration's sections. Most are a component's own settings; those that only the pipeline has are here."""

from collections.abc import Iterator
from typing import Literal

import pydantic

from components.base import BeamParameters
from components.evaluator.component import EvaluatorSettings
from components.example_gen.component import ExampleGenSettings
from components.example_validator.component import ExampleValidatorSettings
from components.infra_validator.component import InfraValidatorSettings
from components.pusher.component import PusherSettings
from components.tuner.component import TunerSettings
from components.vocabulary_gen.component import VocabularySettings
from models.parameters import Parameters, PathText, Text, Whole, setting
from models.settings import LossSettings, ModelSettings, TrainingSettings


class PipelineSettings(Parameters):
    """Folders that a run writes to."""

    root: PathText = setting("output", "Folder of everything a run writes: artifacts, metadata.sqlite, reports.")
    serving_dir: PathText | None = setting(
        None,
        "Folder that TensorFlow Serving watches; versions are pushed into it.",
        null="which is <root>/serving",
    )


class PresetSettings(Parameters):
    """The recipe that decides most of the network."""

    preset: Literal["small", "medium", "large"] | None = setting(
        None,
        "The paper's recipe: small (200 units), medium (650) or large (1500), which decides the keys below that say "
        "so. Decided by the profile: small; none for python_docs.",
    )


class ModelSection(ModelSettings, PresetSettings):
    """The network, and the recipe that decides most of it."""


class BeamSettings(Parameters):
    """Options of Apache Beam."""

    args: list[Text] = setting(
        BeamParameters.model_fields["beam_args"].default,
        "Options of Apache Beam, for the data components and for the Evaluator where a split is long; docs/scaling.md "
        "has those of Dask, Flink, Spark and Dataflow.",
    )


class TrackingSettings(Parameters):
    """Tracking of runs in MLflow."""

    mlflow_uri: Text | None = setting(
        None,
        "Where MLflow (extra mlflow) has each run, its curves while it trains, and the pushed models: "
        "sqlite:///mlflow.db, a folder (the database mlflow.db in it) or the address of a server, such as "
        "http://localhost:5000.",
        null="off",
    )
    registered_model: Text = setting(
        "tied-language-model",
        "Name of the registered model whose versions are the pushed ones; one serving_dir has one name.",
        pattern="^[^/:]+$",
    )


class ComponentResources(Parameters):
    """What a component's container gets; None leaves it to the cluster's default."""

    cpu: float | None = pydantic.Field(None, gt=0)
    memory: Text | None = pydantic.Field(None, pattern="^[0-9]+([EPTGMK]i?)?$")
    accelerator: Text | None = None
    accelerators: Whole = pydantic.Field(1, ge=1)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields (key, message) where keys of this section contradict each other."""
        yield from super().contradictions()
        if self.accelerators > 1 and self.accelerator is None:
            yield "accelerators", f"found {self.accelerators}, expected the type, accelerator, with it."


class KubeflowSettings(Parameters):
    """The pipeline on Kubeflow Pipelines or Vertex AI, as --compile kubeflow writes it."""

    image: Text | None = setting(
        None, "Container image with this project, in which each component runs, such as REGISTRY/tied-lm:1."
    )
    retries: Whole = setting(2, "Times that a component which failed is started again.", ge=0)
    resources: dict[str, ComponentResources] = setting(
        {},
        "What a component's container is given, for example {Trainer: {cpu: 8, memory: 32G, accelerator: "
        "nvidia.com/gpu, accelerators: 1}}: cores, bytes, the accelerator's type as the engine names it, and how many.",
    )
    volume_claim: Text | None = setting(
        None,
        "Persistent volume claim that Kubernetes mounts into every container, for the corpus, serving_dir and "
        "unfinished trainings. Vertex AI needs none.",
        null="none",
    )
    volume_path: PathText = setting("/mnt/pipeline", "Where the volume is mounted.", pattern="^/")


class Settings(pydantic.BaseModel):
    """All resolved values: `settings.trainer.batch_size` is the key `trainer.batch_size`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    pipeline: PipelineSettings
    example_gen: ExampleGenSettings
    example_validator: ExampleValidatorSettings
    vocabulary: VocabularySettings
    model: ModelSection
    loss: LossSettings
    trainer: TrainingSettings
    tuner: TunerSettings
    evaluator: EvaluatorSettings
    infra_validator: InfraValidatorSettings
    pusher: PusherSettings
    beam: BeamSettings
    tracking: TrackingSettings
    kubeflow: KubeflowSettings


SECTIONS: dict[str, type[Parameters]] = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Parameters)
}
