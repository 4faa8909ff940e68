"""A JSON file of an artifact, with a type and a format version. It is written completely or not at all."""

import json
import math
import reprlib
from pathlib import Path
from typing import Any, Generic, TypeVar

import pydantic

from components.base import ComponentError
from models import files

T = TypeVar("T")

_STRICT = pydantic.ConfigDict(extra="forbid", strict=True)


class Document(Generic[T]):
    """One file of an artifact's folder, as JSON of one type.

    Args:
        file: The file's name.
        kind: A TypedDict: what the file holds. A number that may not be finite is `float | None`, because JSON has no
            infinity.
        writer: The component that writes the file, for messages.
        version: Version of the format. Raise it when `kind` changes.

    Example:

    >>> import tempfile
    >>> from typing_extensions import TypedDict
    >>> class Length(TypedDict):
    ...     mean: float | None
    >>> document = Document("length.json", Length, "Meter")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     document.write(Path(folder), {"mean": math.inf})
    ...     document.read(Path(folder))
    {'mean': None}
    """

    def __init__(self, file: str, kind: type[T], writer: str, version: int = 1):
        self.file, self.version = file, version
        self._writer = writer
        self._adapter = pydantic.TypeAdapter(pydantic.with_config(_STRICT)(kind))

    def is_in(self, folder: Path) -> bool:
        """Whether the folder has the file.

        Args:
            folder: The artifact's folder.
        """
        return (folder / self.file).is_file()

    def read_if_whole(self, folder: Path) -> T | None:
        """Reads the file, or returns None if it is missing or damaged, for a search through many artifacts.

        Args:
            folder: The artifact's folder.
        """
        try:
            return self.read(folder)
        except ComponentError:
            return None

    def write(self, folder: Path, value: T) -> None:
        """Writes the file, or replaces it.

        Args:
            folder: The artifact's folder.
            value: The content. Numbers that are not finite are written as null.

        Raises:
            pydantic.ValidationError: If `value` does not have the document's type.
        """
        value = self._adapter.validate_python(finite(value))
        content = {"format": self.version, **self._adapter.dump_python(value)}
        files.write_text(folder / self.file, json.dumps(content, indent=1, allow_nan=False) + "\n")

    def read(self, folder: Path) -> T:
        """Reads the file and checks its format and its type.

        Args:
            folder: The artifact's folder.

        Raises:
            ComponentError: If the file is missing or damaged, or has another format.
        """
        path = folder / self.file
        try:
            content = json.loads(path.read_bytes())
            version = content.pop("format", 1)
            if version != self.version:
                raise ComponentError(
                    f"{path} has format {reprlib.repr(version)}; this program reads format {self.version}. Run the "
                    f"{self._writer} again (--no-cache)."
                )
            return self._adapter.validate_python(content)
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise ComponentError(
                f"{path} cannot be read ({_describe(error)}). Run the {self._writer} again (--no-cache)."
            ) from error


def finite(value: Any) -> Any:
    """Returns a copy of a JSON value in which numbers that are not finite are None.

    Args:
        value: A value of dicts, lists, tuples, numbers and texts. Tuples become lists.
    """
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _describe(error: Exception) -> str:
    if isinstance(error, pydantic.ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg'][0].lower()}{first['msg'][1:]}, found {reprlib.repr(first['input'])}"
    if isinstance(error, OSError):
        return str(error.strerror)
    return f"not a JSON object: {error}"
