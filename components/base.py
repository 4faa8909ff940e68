"""What a component is: a typed specification that a pipeline wires, and an executor that does the work.

A component's folder holds `component.py` (a subclass of `Component`, cheap to import: no TensorFlow) and
`executor.py` (a module with one public function `execute`, imported only when the component really runs).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from components.quiet_import import import_quietly
from models.parameters import Parameters, Text, setting


class ComponentError(Exception):
    """A failure that its user can fix: the message names the file or key, what was found and what to do."""


class BeamParameters(Parameters):
    """Of a component that runs on Beam."""

    beam_args: list[Text] = setting(["--runner=FnApiRunner"], "Options of Apache Beam.")


@dataclass(frozen=True)
class Channel:
    """A promise of one artifact: the output `key`, of artifact type `type`, of the component `producer`."""

    producer: str
    key: str
    type: str


@dataclass(frozen=True)
class Context:
    """What an executor may use besides its inputs, outputs and parameters.

    Attributes:
        run_id: Identifies the run, for cards and logs.
        workspace: A folder that survives a killed or failed attempt where the component is `RESUMABLE`. It is removed
            once the component has finished, but where it has a `BUDGET`, so that a larger one continues its work.
        progress: Whether standard error may show progress bars.
        quiet: Whether it shows warnings and errors alone.
        peers: The other workers, where several train together (`components.trainer.peers.Peers`).
    """

    run_id: str
    workspace: Path
    progress: bool = True
    quiet: bool = False
    peers: Any = None


class Component:
    """Base of the pipeline's components.

    Args:
        parameters: An instance of the class's `Parameters`.
        **inputs: One `Channel` for each key of `INPUTS`; keys that end with "?" in `INPUTS` may be left out.
    """

    INPUTS: ClassVar[Mapping[str, str]] = {}  # input key (with "?" appended where optional) -> artifact type
    OUTPUTS: ClassVar[Mapping[str, str]] = {}  # output key -> artifact type
    RESUMABLE: ClassVar[bool] = False  # keeps its workspace when an attempt fails or is killed
    BUDGET: ClassVar[Sequence[str]] = ()  # parameters that say how much work there is: what is done stays valid
    GATE: ClassVar[str | None] = None  # figure that is False where this component refuses the model
    IN_CHILD: ClassVar[bool] = False  # works in a process of `components.child_process`
    Parameters: ClassVar[type[Parameters]] = Parameters

    def __init__(self, parameters: Parameters, **inputs: Channel):
        for key, artifact_type in self.INPUTS.items():
            channel = inputs.get(key.rstrip("?"))
            if channel is None and not key.endswith("?"):
                raise TypeError(f"{self.name} needs the input {key!r} ({artifact_type}).")
            if channel is not None and channel.type != artifact_type:
                raise TypeError(f"{self.name} takes {artifact_type} as {key!r}, not {channel.type}.")
        unknown = set(inputs) - {key.rstrip("?") for key in self.INPUTS}
        if unknown:
            raise TypeError(f"{self.name} has no input {sorted(unknown)}; it takes {sorted(self.INPUTS)}.")
        self.parameters = parameters
        self.inputs = {key: channel for key, channel in inputs.items() if channel is not None}
        self.outputs = {key: Channel(self.name, key, kind) for key, kind in self.OUTPUTS.items()}

    @property
    def name(self) -> str:
        return type(self).__name__

    @property
    def executor_module(self) -> str:
        """Dotted name of the module whose `execute` does the work."""
        return type(self).__module__.rpartition(".")[0] + ".executor"

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """What the work reads outside its inputs (source files, a baseline), as JSON for the cache key.

        Args:
            inputs: Paths of the resolved input artifacts.

        Raises:
            ComponentError: If a source is missing or cannot be read.
        """
        del inputs
        return {}

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether a cached execution's effects outside its outputs still stand (a pushed version, say)."""
        del outputs
        return True

    def execute(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], context: Context) -> dict[str, Any]:
        """Runs the executor and returns its figures: a small JSON-serialisable dict for tables and summaries."""
        module = import_quietly(self.executor_module)
        return module.execute(inputs, outputs, self.parameters, context)
