"""ExampleValidator: stops the run where the data cannot be trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic

from components import base

Rule = Literal[
    "max_invalid_fraction",
    "min_tokens",
    "max_unk_share",
    "max_overlap",
    "max_document_share",
    "max_line_bytes",
    "max_foreign_script",
    "max_drift",
    "max_skipped_files",
]


class ExampleValidator(base.Component):
    """Fails on an empty split and where a rule of `errors` is broken; warns where another one is."""

    INPUTS: ClassVar = {"statistics": "ExampleStatistics"}
    OUTPUTS: ClassVar = {"anomalies": "ExampleAnomalies"}

    class Parameters(base.Parameters):
        """What is tolerated: a limit a rule.

        Attributes:
            max_invalid_fraction: Largest fraction of a split's or a file's bytes that may be no UTF-8.
            min_tokens: Tokens that a split has at least.
            max_unk_share: Largest share of a split's tokens that read `<unk>` in the text.
            max_overlap: Largest share of a held-out split's lines that train has, too.
            max_document_share: Largest share of a split's bytes that one document may have, of ten or more.
            max_line_bytes: Bytes of the longest line.
            max_foreign_script: Largest share of a held-out split's letters in scripts that train hardly has.
            max_drift: Largest Jensen-Shannon distance, 0 to 1, between train's words and those of the run before.
            max_skipped_files: Entries of the data folder that could not be read.
            errors: Rules that stop the run; the others warn.
        """

        max_invalid_fraction: float = pydantic.Field(default=0.01, ge=0, le=1)
        min_tokens: int = pydantic.Field(default=100, ge=1)
        max_unk_share: float = pydantic.Field(default=0.2, ge=0, le=1)
        max_overlap: float = pydantic.Field(default=0.05, ge=0, le=1)
        max_document_share: float = pydantic.Field(default=0.5, ge=0, le=1)
        max_line_bytes: int = pydantic.Field(default=65_536, ge=1)
        max_foreign_script: float = pydantic.Field(default=0.1, ge=0, le=1)
        max_drift: float = pydantic.Field(default=0.25, ge=0, le=1)
        max_skipped_files: int = pydantic.Field(default=0, ge=0)
        errors: list[Rule] = ["max_invalid_fraction"]

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Which earlier statistics the new ones are compared with."""
        previous = previous_statistics(inputs["statistics"])
        return {"previous": previous.name if previous else None}


def previous_statistics(statistics: Path) -> Path | None:
    """The statistics artifact before this one in the same root: its neighbour with the next lower execution id."""
    if not statistics.name.isdecimal():
        return None
    others = (path for path in statistics.parent.iterdir() if path.name.isdecimal())
    earlier = [path for path in others if int(path.name) < int(statistics.name)]
    return max(earlier, key=lambda path: int(path.name), default=None)
