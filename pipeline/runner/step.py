"""A component's step in one run: what it reads and how it ended. Also checks that components come in a valid order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NotRequired

from typing_extensions import TypedDict

from components.base import Component
from pipeline.metadata.store import Artifact


class ArtifactRecord(TypedDict):
    """An artifact that a component read or wrote. An input has its producer, an output its digest."""

    uri: str
    type: str
    artifact_id: int
    producer: NotRequired[str]
    digest: NotRequired[str]


class StepRecord(TypedDict):
    """How one component ended in one run, as JSON; `status` is executed, cached, failed or skipped."""

    name: str
    status: str
    seconds: float
    execution_id: int | None
    figures: dict[str, Any]
    parameters: dict[str, Any]
    inputs: dict[str, ArtifactRecord]
    outputs: dict[str, ArtifactRecord]


@dataclass
class ComponentStep:
    """One component in one run.

    Attributes:
        component: The component.
        status: "executed", "cached", "failed" or "skipped".
        seconds: How long it took.
        execution_id: Its execution in the metadata; None until it is recorded.
        figures: What it returned, as JSON.
        inputs: Input key -> artifact.
        outputs: Output key -> artifact, once they are published.
        leads_to_child: Whether it, or a component that runs after it, works in a child process.
    """

    component: Component
    status: str = "skipped"
    seconds: float = 0.0
    execution_id: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    outputs: dict[str, Artifact] = field(default_factory=dict)
    leads_to_child: bool = False

    def record(self) -> StepRecord:
        """Returns the step as JSON, for the run's record."""
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


def steps_of(components: Sequence[Component], until: str | None) -> list[ComponentStep]:
    """Makes the steps of a run.

    Args:
        components: All components, in order.
        until: Name of the last component to run; None for all.

    Returns:
        A step for each component, including those after `until`.
    """
    steps = [ComponentStep(component) for component in components]
    names = [component.name for component in components]
    last = names.index(until) if until in names else len(names) - 1
    leads = False
    for step in reversed(steps[: last + 1]):
        step.leads_to_child = leads = leads or step.component.IN_CHILD
    return steps


def check_order(components: Sequence[Component]) -> None:
    """Checks that each component reads only what an earlier one writes, and that none is there twice.

    Args:
        components: In the order in which they would run.

    Raises:
        ValueError: If that is not so.
    """
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
