"""Judges the statistics of each split."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components import base

ANOMALIES_FILE = "anomalies.json"
# Share of a held-out split's lines that also stand in train above which its perplexity flatters. Headings and stock
# phrases repeat in honest corpora (WikiText, forums), so that a few lines are no news.
OVERLAP_WARNING = 0.05


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Writes `anomalies.json`: {"errors": [...], "warnings": [...]}, sentences for people.

    Returns:
        Number of errors and of warnings.

    Raises:
        ComponentError: If there are errors: what was found in which split, and what to do.
    """
    errors, warnings = [], []
    for split in base.SPLITS:
        statistics = json.loads((inputs["statistics"] / f"Split-{split}" / "statistics.json").read_text())
        errors += find_errors(split, statistics, parameters.max_invalid_fraction)
        warnings += find_warnings(split, statistics)
    anomalies = json.dumps({"errors": errors, "warnings": warnings}, indent=2, ensure_ascii=False)
    (outputs["anomalies"] / ANOMALIES_FILE).write_text(anomalies + "\n", encoding="utf-8")
    if errors:
        raise base.ComponentError("\n".join(errors))
    return {"errors": len(errors), "warnings": len(warnings), **({"warning": warnings[0]} if warnings else {})}


def find_errors(split: str, statistics: Mapping[str, Any], max_invalid_fraction: float) -> list[str]:
    """What makes a split unfit for use."""
    if statistics["tokens"] == 0:
        return [
            f"The {split} split is empty: {statistics['bytes']:,} bytes of text and no token in it. "
            "Check example_gen.data_dir and example_gen.pattern: give more text, or a file for this split."
        ]
    if statistics["invalid_fraction"] > max_invalid_fraction:
        hint = " Its NUL bytes hint at UTF-16 or at binary files." if statistics["nul_bytes"] else ""
        return [
            f"The {split} split has {statistics['invalid_bytes']:,} bytes that are not UTF-8, "
            f"{statistics['invalid_fraction']:.2%} of {statistics['bytes']:,}; example_validator.max_invalid_fraction "
            f"allows {max_invalid_fraction:.2%}.{hint} Convert the files to UTF-8, leave out binary ones, or raise "
            "the limit."
        ]
    return []


def find_warnings(split: str, statistics: Mapping[str, Any]) -> list[str]:
    """What a reader of the results should know about a split."""
    overlap = statistics.get("overlap_with_train", {"share": 0})
    if overlap["share"] > OVERLAP_WARNING:
        return [
            f"{overlap['share']:.1%} of the {split} split's lines ({overlap['lines']:,}) also stand in the train "
            "split: its perplexity will look better than on new text."
        ]
    return []
