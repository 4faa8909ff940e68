"""ExampleValidator: stops the run if the data cannot be trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from components import base
from models.parameters import Parameters, Whole, setting

RuleName = Literal[
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


class ExampleValidatorSettings(Parameters):
    """The rules, one limit each. A broken rule is a warning, or fails the run if `errors` names it.

    An empty split always fails.
    """

    max_invalid_fraction: float = setting(
        0.01, "Share of a split's or a file's bytes that are not valid UTF-8, 0 to 1.", ge=0, le=1
    )
    min_tokens: Whole = setting(100, "Tokens of the smallest split.", ge=1)
    max_unk_share: float = setting(
        0.2, "Share of tokens that are <unk>: written so in the text, or without an id in the vocabulary.", ge=0, le=1
    )
    max_overlap: float = setting(
        0.05, "Share of the eval or test split's lines that the train split has, too.", ge=0, le=1
    )
    max_document_share: float = setting(
        0.5, "Share of a split that one document makes up, where there are ten or more.", ge=0, le=1
    )
    max_line_bytes: Whole = setting(65_536, "Length of the longest line, in bytes.", ge=1)
    max_foreign_script: float = setting(
        0.1, "Share of the eval or test split's letters that belong to scripts which train hardly has.", ge=0, le=1
    )
    max_drift: float = setting(
        0.25,
        "Distance (Jensen-Shannon, 0 to 1) between the words of the train split and those of the root's run before.",
        ge=0,
        le=1,
    )
    max_skipped_files: Whole = setting(
        0, "Entries of example_gen.data_dir that cannot be read: pipes, sockets, links to nothing, no permission.", ge=0
    )
    errors: list[RuleName] = setting(
        ["max_invalid_fraction"], "Names of the rules above that fail the run when they are broken."
    )


class ExampleValidator(base.Component):
    """Fails if a split is empty or a rule in `errors` is broken, and warns if another rule is broken."""

    INPUTS: ClassVar = {"statistics": "ExampleStatistics"}
    OUTPUTS: ClassVar = {"anomalies": "ExampleAnomalies"}

    Parameters: ClassVar = ExampleValidatorSettings

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Returns the execution id of the earlier statistics that the new ones are compared with.

        Args:
            inputs: `statistics` is used.
        """
        previous = previous_statistics(inputs["statistics"])
        return {"previous": previous.name if previous else None}


def previous_statistics(statistics: Path) -> Path | None:
    """Finds the previous statistics artifact in the same root: the neighbour with the next lower execution id.

    Args:
        statistics: Folder of the current artifact.

    Returns:
        Its folder, or None if there is none.
    """
    if not statistics.name.isdecimal():
        return None
    others = (path for path in statistics.parent.iterdir() if path.name.isdecimal())
    earlier = [path for path in others if int(path.name) < int(statistics.name)]
    return max(earlier, key=lambda path: int(path.name), default=None)
