"""What was pushed to a serving folder: `<serving_dir>/.pushes.json`.

It keeps the number of a removed version from being given again, and versions that others put there from being removed.
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

RECORD = ".pushes.json"


class Push(pydantic.BaseModel):
    """One push.

    Attributes:
        version: Its number.
        digest: SHA-256 of the model, its card left out; empty where it is not known any more.
        rollback_of: The older version that it is again, if it is one.
        pending: Whether the version has not been seen in its place: such a number is only not given again.
    """

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    version: int
    digest: str
    rollback_of: int | None = None
    pending: bool = False


_PUSHES = pydantic.TypeAdapter(list[Push])


def write(serving_dir: Path, pushes: Iterable[Push]) -> None:
    """Replaces the record, whole or not at all."""
    content = [
        push.model_dump(exclude_defaults=not push.pending) | {"rollback_of": push.rollback_of} for push in pushes
    ]
    files.write_text(serving_dir / RECORD, json.dumps(content, indent=2) + "\n")


def read(serving_dir: Path, present: Iterable[int]) -> list[Push]:
    """The pushes, oldest first; those that a killed push never finished stay pending.

    A record that is not what a push wrote is set aside and made again from its readable parts and from the versions
    that are there. The folder has to be locked.

    Args:
        serving_dir: The folder.
        present: Versions that are there.
    """
    path = serving_dir / RECORD
    if not path.exists():
        return []
    try:
        pushes = _PUSHES.validate_json(path.read_bytes())
    except ValueError:
        aside = path.with_name(f"{RECORD}.damaged")
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
        if version not in pushes and (folder / saved_model.CARD).parent.is_dir():  # it is one of ours
            pushes[version] = Push(version=version, digest=digest(folder))
    for number in re.findall(r'"version": *(\d{1,9})\b', text):
        pushes.setdefault(int(number), Push(version=int(number), digest="", pending=True))
    return [pushes[version] for version in sorted(pushes)]
