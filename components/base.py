"""Defines what a component is: a typed specification that a pipeline wires, and an executor that does the work.

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
    """Parameters of a component that runs on Apache Beam."""

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
        workspace: A folder for intermediate files. If the component is `RESUMABLE`, the folder survives a killed or
            failed attempt. It is removed once the component has finished, unless the component has a `BUDGET`: then it
            is kept, so that a run with a larger budget can continue its work.
        progress: Whether standard error may show progress bars.
        quiet: Whether standard error shows only warnings and errors.
        peers: The other workers, if several train together (`components.trainer.peers.Peers`); None otherwise.
    """

    run_id: str
    workspace: Path
    progress: bool = True
    quiet: bool = False
    peers: Any = None


class Component:
    """Base class of the pipeline's components.

    Args:
        parameters: An instance of the class's `Parameters`.
        **inputs: One `Channel` for each key of `INPUTS`. Keys that end with "?" in `INPUTS` may be left out.

    Raises:
        TypeError: If a required input is missing, has another artifact type, or is not in `INPUTS`.
    """

    INPUTS: ClassVar[Mapping[str, str]] = {}  # input key (with "?" appended where optional) -> artifact type
    OUTPUTS: ClassVar[Mapping[str, str]] = {}  # output key -> artifact type
    RESUMABLE: ClassVar[bool] = False  # keeps its workspace when an attempt fails or is killed
    BUDGET: ClassVar[Sequence[str]] = ()  # parameters that bound the amount of work: finished work stays valid
    GATE: ClassVar[str | None] = None  # figure that is False where this component refuses the model
    IN_CHILD: ClassVar[bool] = False  # runs in a process of `components.child_process`
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
        """The component's name, which is the name of its class."""
        return type(self).__name__

    @property
    def executor_module(self) -> str:
        """Dotted name of the module whose `execute` does the work."""
        return type(self).__module__.rpartition(".")[0] + ".executor"

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Describes what the work reads outside its inputs, such as source files or a baseline.

        Args:
            inputs: Paths of the resolved input artifacts, by key.

        Returns:
            A JSON-serialisable dict, which becomes part of the cache key.

        Raises:
            ComponentError: If a source is missing or cannot be read.
        """
        del inputs
        return {}

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether the effects of a cached execution outside its outputs, such as a pushed version, still exist.

        Args:
            outputs: Paths of the cached output artifacts, by key.
        """
        del outputs
        return True

    def execute(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], context: Context) -> dict[str, Any]:
        """Imports the executor module and runs its `execute`.

        Args:
            inputs: Paths of the input artifacts, by key of `INPUTS`.
            outputs: Paths of the output artifacts, by key of `OUTPUTS`. The folders exist and are empty.
            context: The run's identity, the workspace and the display options.

        Returns:
            The executor's figures: a small JSON-serialisable dict for tables and summaries.

        Raises:
            ComponentError: If the work fails in a way that the user can fix.
        """
        module = import_quietly(self.executor_module)
        return module.execute(inputs, outputs, self.parameters, context)
