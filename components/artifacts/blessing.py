"""ModelBlessing and InfraBlessing: one file, whose name is the verdict and whose text is why."""

from collections.abc import Iterable, Iterator
from pathlib import Path

_BLESSED = ("BLESSED", "INFRA_BLESSED")
_REFUSED = ("NOT_BLESSED", "INFRA_NOT_BLESSED")


def write(folder: Path, blessed: bool, reasons: Iterable[str], infra: bool = False) -> None:
    """Writes the verdict of the Evaluator or, with `infra`, of InfraValidator; each reason is a line."""
    name = (_BLESSED if blessed else _REFUSED)[infra]
    (folder / name).write_text("".join(f"{reason}\n" for reason in reasons), encoding="utf-8")


def is_blessed(folder: Path) -> bool:
    """Whether the judge blessed the model."""
    return any((folder / name).is_file() for name in _BLESSED)


def refusals(folder: Path) -> Iterator[str]:
    """Why the judge refused the model; empty where it did not, or where `folder` is another artifact."""
    for name in _REFUSED:
        if (folder / name).is_file():
            yield (folder / name).read_text(encoding="utf-8").strip()
