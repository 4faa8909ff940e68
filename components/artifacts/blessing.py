"""ModelBlessing and InfraBlessing: one file, whose name is the verdict and whose text gives the reasons."""

from collections.abc import Iterable, Iterator
from pathlib import Path

_BLESSED = ("BLESSED", "INFRA_BLESSED")
_REFUSED = ("NOT_BLESSED", "INFRA_NOT_BLESSED")


def write(folder: Path, blessed: bool, reasons: Iterable[str], infra: bool = False) -> None:
    """Writes a verdict.

    Args:
        folder: The artifact's folder.
        blessed: The verdict.
        reasons: Sentences; each becomes a line of the file.
        infra: Whether the verdict is InfraValidator's; the default is the Evaluator's.
    """
    name = (_BLESSED if blessed else _REFUSED)[infra]
    (folder / name).write_text("".join(f"{reason}\n" for reason in reasons), encoding="utf-8")


def is_blessed(folder: Path) -> bool:
    """Whether the verdict in an artifact's folder is that the model is blessed.

    Args:
        folder: The artifact's folder.
    """
    return any((folder / name).is_file() for name in _BLESSED)


def refusals(folder: Path) -> Iterator[str]:
    """Yields the text of a refusal: nothing if the model was blessed, or if `folder` is another artifact.

    Args:
        folder: The artifact's folder.
    """
    for name in _REFUSED:
        if (folder / name).is_file():
            yield (folder / name).read_text(encoding="utf-8").strip()
