"""The record of what was pushed to a serving folder: `<serving_dir>/.pushes.json`.

It prevents that the number of a removed version is used again, and that versions of other origin are removed.
"""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path

import pydantic

from components.evaluator.baseline import digest
from models import files
from models.serving import saved_model

RECORD_FILE = ".pushes.json"


class Push(pydantic.BaseModel):
    """One push.

    Attributes:
        version: The version's number.
        digest: SHA-256 of the model, without its card; empty if it is not known any more.
        rollback_of: For a rollback: the older version that was republished.
        pending: Whether the version was never seen in its place. The number of such a version is not used again.
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    version: int
    digest: str
    rollback_of: int | None = None
    pending: bool = False


_PUSHES = pydantic.TypeAdapter(list[Push])


def write(serving_dir: Path, pushes: Iterable[Push]) -> None:
    """Replaces the record, completely or not at all.

    Args:
        serving_dir: The folder of the versions.
        pushes: All pushes, oldest first.
    """
    content = [
        push.model_dump(exclude_defaults=not push.pending) | {"rollback_of": push.rollback_of} for push in pushes
    ]
    files.write_text(serving_dir / RECORD_FILE, json.dumps(content, indent=2) + "\n")


def read(serving_dir: Path, present: Iterable[int]) -> list[Push]:
    """Reads the pushes, oldest first; those that a killed push never finished stay pending.

    A damaged record is renamed, and rebuilt from its readable parts and from the versions in the folder. The caller
    must hold the folder's lock.

    Args:
        serving_dir: The folder of the versions.
        present: The versions in the folder.

    Raises:
        ComponentError: If a version cannot be read.
    """
    path = serving_dir / RECORD_FILE
    if not path.exists():
        return []
    try:
        pushes = _PUSHES.validate_json(path.read_bytes())
    except ValueError:
        aside = path.with_name(f"{RECORD_FILE}.damaged")
        path.replace(aside)
        pushes = _rebuilt(serving_dir, aside.read_text(encoding="utf-8", errors="replace"), present)
        write(serving_dir, pushes)
        logging.getLogger(__name__).warning(
            "%s was damaged. It was renamed to %s, and rebuilt from its readable parts and the versions in %s.",
            path, aside.name, serving_dir,
        )  # fmt: skip
    finished = [
        push.pending and push.version in present and digest(serving_dir / str(push.version)) == push.digest
        for push in pushes
    ]
    return [
        push.model_copy(update={"pending": False}) if done else push
        for push, done in zip(pushes, finished, strict=True)
    ]


def _rebuilt(serving_dir: Path, text: str, present: Iterable[int]) -> list[Push]:
    pushes: dict[int, Push] = {}
    for entry in re.findall(r"\{[^{}]*\}", text):
        try:
            push = Push.model_validate_json(entry)
        except ValueError:
            continue
        pushes[push.version] = push
    for version in present:
        folder = serving_dir / str(version)
        if version not in pushes and (folder / saved_model.CARD).parent.is_dir():  # only this project's exports have it
            pushes[version] = Push(version=version, digest=digest(folder))
    for number in re.findall(r'"version": *(\d{1,9})\b', text):
        pushes.setdefault(int(number), Push(version=int(number), digest="", pending=True))
    return [pushes[version] for version in sorted(pushes)]
