"""A component in one run: what it reads, what became of it, and that components come in an order that works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.base import Component
from pipeline.metadata.store import Artifact


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

    def record(self) -> dict[str, Any]:
        """The step for the report: everything as JSON."""
        inputs = {
            key: {"uri": artifact.uri, "type": artifact.type, "artifact_id": artifact.id, "producer": artifact.producer}
            for key, artifact in self.inputs.items()
        }
        outputs = {
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
