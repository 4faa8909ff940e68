"""InfraValidator: proves that the exported model can be served before it is pushed."""

from typing import ClassVar

import pydantic

from components import base


class InfraValidator(base.Component):
    """Loads the exported model in a fresh process, as a server would, and sends it requests through every signature.

    Outputs:
        blessing: A file `INFRA_BLESSED`, or `INFRA_NOT_BLESSED` with the requests that failed, in words; and
            `requests.json`, every request with its seconds and what was wrong with its answer.
    """

    INPUTS: ClassVar = {"model": "Model", "examples": "Examples", "transformed_examples": "Examples"}
    OUTPUTS: ClassVar = {"blessing": "InfraBlessing"}
    GATE: ClassVar = "blessed"

    class Parameters(base.Parameters):
        """What the gate asks beside right answers.

        Attributes:
            max_latency_ms: Longest median time of next words for a context of 20 words, in milliseconds; 0: measured,
                not judged.
        """

        max_latency_ms: float = pydantic.Field(default=1000.0, ge=0)
