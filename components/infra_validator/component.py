"""InfraValidator: checks that the exported model can be served before it is pushed."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components import base
from components.artifacts import blessing
from models.parameters import Parameters, setting


class InfraValidatorSettings(Parameters):
    """The limit that the model must keep in addition to right answers."""

    max_latency_ms: float = setting(
        1000.0,
        "Longest median time of next words for a context of 20 words, in milliseconds; 0: measured, not judged.",
        ge=0,
    )


class InfraValidator(base.Component):
    """Loads the exported model in a fresh process, as a server would, and sends it requests through every signature.

    Outputs:
        blessing: A file `INFRA_BLESSED`, or `INFRA_NOT_BLESSED` with the requests that failed and the reasons; and
            `requests.json`, every request with its time in seconds and the failure, if there was one.
    """

    INPUTS: ClassVar = {"model": "Model", "examples": "Examples", "transformed_examples": "Examples"}
    OUTPUTS: ClassVar = {"blessing": "InfraBlessing"}
    GATE: ClassVar = "blessed"

    Parameters: ClassVar = InfraValidatorSettings

    def still_valid(self, outputs: Mapping[str, Path]) -> bool:
        """Whether the model was blessed. A refusal may be due to the machine (load, memory), so it is measured again.

        Args:
            outputs: `blessing` is read.
        """
        return blessing.is_blessed(outputs["blessing"])
