"""A component in one run: what it reads, what became of it, and that components come in an order that works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired

from typing_extensions import TypedDict

from components.base import Component
from pipeline.metadata.store import Artifact


class ArtifactRecord(TypedDict):
    """An artifact that a component read or wrote; of an input its producer is known, of an output its digest."""

    uri: str
    type: str
    artifact_id: int
    producer: NotRequired[str]
    digest: NotRequired[str]


class StepRecord(TypedDict):
    """What became of one component in one run, as JSON; `status` is executed, cached, failed or skipped."""

    name: str
    status: str
    seconds: float
    execution_id: int | None
    figures: dict[str, Any]
    parameters: dict[str, Any]
    inputs: dict[str, ArtifactRecord]
    outputs: dict[str, ArtifactRecord]


@dataclass
class Step:
    """What became of one component in one run."""

    component: Component
    status: str = "skipped"
    seconds: float = 0.0
    execution_id: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    leads_to_child: bool = False  # whether this component, or one that the run comes to later, works in a child process

    def record(self) -> StepRecord:
        """The step for the report: everything as JSON."""
        inputs: dict[str, ArtifactRecord] = {
            key: {"uri": artifact.uri, "type": artifact.type, "artifact_id": artifact.id, "producer": artifact.producer}
            for key, artifact in self.inputs.items()
        }
        outputs: dict[str, ArtifactRecord] = {
            key: {"uri": artifact.uri, "type": artifact.type, "artifact_id": artifact.id, "digest": artifact.digest}
            for key, artifact in self.outputs.items()
        }
        return {
            "name": self.component.name,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "execution_id": self.execution_id,
            "figures": self.figures,
            "parameters": self.component.parameters.model_dump(mode="json"),
            "inputs": inputs,
            "outputs": outputs,
        }


def steps_of(components: Sequence[Component], until: str | None) -> list[Step]:
    """The steps of a run that ends with the component `until`, or with the last one."""
    steps = [Step(component) for component in components]
    names = [component.name for component in components]
    last = names.index(until) if until in names else len(names) - 1
    leads = False
    for step in reversed(steps[: last + 1]):
        step.leads_to_child = leads = leads or step.component.IN_CHILD
    return steps


def check_order(components: Sequence[Component]) -> None:
    """Raises ValueError where a component reads what no earlier one writes, or is there twice."""
    outputs = set()
    for component in components:
        for key, channel in component.inputs.items():
            if (channel.producer, channel.key) not in outputs:
                raise ValueError(
                    f"{component.name} reads {channel.producer}'s {channel.key!r} as {key!r}, which no earlier "
                    "component writes."
                )
        if (component.name, None) in outputs:
            raise ValueError(f"{component.name} is in the pipeline twice.")
        outputs |= {(component.name, None), *((component.name, key) for key in component.OUTPUTS)}
