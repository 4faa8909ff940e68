"""The base of classes of settings, the types of their fields, and what a field is described by.

Needs only pydantic. `models.settings` has the classes of the network and its training; each component has its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from models.files import is_url


def _usable_text(text: str) -> str:
    # Checked in Python, because pydantic's own bound rejects file names that are not UTF-8.
    if not text:
        raise ValueError("text with at least 1 character")
    if "\0" in text:
        raise ValueError("text without NUL characters")
    return text


def _usable_path(text: str) -> str:
    if is_url(text):
        raise ValueError("a local or mounted path (only example_gen.data_dir may be a URL)")
    return _usable_path_or_url(text)


def _usable_path_or_url(text: str) -> str:
    try:
        Path(text).expanduser().stat()
    except RuntimeError:
        raise ValueError("a path below a home folder that is known") from None
    except (FileNotFoundError, NotADirectoryError):
        pass  # whether a path must exist differs from key to key, so it is checked elsewhere
    except OSError as error:
        raise ValueError(f"a path that can be used (found: {error.strerror})") from None
    return text


Text = Annotated[str, pydantic.AfterValidator(_usable_text)]
PathText = Annotated[Text, pydantic.AfterValidator(_usable_path)]
PathOrUrl = Annotated[Text, pydantic.AfterValidator(_usable_path_or_url)]
Whole = Annotated[int, pydantic.Field(lt=2**31)]  # TensorFlow's sizes and Beam's counts are 32 bits wide


def setting(
    default: Any,
    description: str,
    *,
    null: str = "",
    tunable: bool = False,
    shape: bool = False,
    needs: tuple[str, Any] | None = None,
    **bounds: Any,
) -> Any:
    """Makes a field of `Parameters`.

    Args:
        default: The built-in default.
        description: Its meaning and unit in full sentences, for the documentation.
        null: The meaning of the default None, such as "no such bound". Default: none.
        tunable: Whether a search may vary it. Default False.
        shape: Whether it decides the shapes of the weights, so that a model that training starts from fixes it. Default
            False.
        needs: (name, value): this setting has an effect only if that one, of the same class, has this value. Default
            None: it always has an effect.
        **bounds: Bounds of pydantic, such as `ge=0`.

    Returns:
        The field.
    """
    extra: dict[str, Any] = {"null": null, "tunable": tunable, "shape": shape, "needs": needs}
    return pydantic.Field(default, description=description, json_schema_extra=extra, **bounds)


def extra(field: pydantic.fields.FieldInfo) -> dict[str, Any]:
    """Returns the arguments of `setting` that pydantic does not know.

    Args:
        field: A field of a class of settings.

    Returns:
        dict of `null`, `tunable`, `shape` and `needs`; empty for a field that `setting` did not make.
    """
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


class Parameters(pydantic.BaseModel):
    """Base of all settings: frozen, strict (no "3" for 3), without unknown names, with finite numbers only.

    Raises:
        pydantic.ValidationError: If a value has a wrong type or is out of bounds, or two values contradict each other.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Finds settings that contradict another one of this class.

        Yields:
            (name, "found ..., expected ...") for each such setting.
        """
        return iter(())

    @pydantic.model_validator(mode="after")
    def _without_contradictions(self) -> Self:
        problems = [f"{name}: {problem}" for name, problem in self.contradictions()]
        if problems:
            raise ValueError("\n".join(problems))
        return self
