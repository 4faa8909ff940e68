"""ExampleValidator: stops the run where the data cannot be trained on."""

from typing import ClassVar

import pydantic

from components import base


class ExampleValidator(base.Component):
    """Fails on an empty split or too many invalid bytes; warns where the splits overlap."""

    INPUTS: ClassVar = {"statistics": "ExampleStatistics"}
    OUTPUTS: ClassVar = {"anomalies": "ExampleAnomalies"}

    class Parameters(base.Parameters):
        """What is tolerated.

        Attributes:
            max_invalid_fraction: Largest fraction of a split's bytes that may be no UTF-8.
        """

        max_invalid_fraction: float = pydantic.Field(default=0.01, ge=0, le=1)
