"""Types of configuration values, with the bounds that all values of a type have."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("text without NUL characters")
    return text


def _usable_path(text: str) -> str:
    try:
        Path(text).expanduser().stat()
    except RuntimeError:
        raise ValueError("a path below a home folder that is known") from None
    except (FileNotFoundError, NotADirectoryError):
        pass  # what has to exist is checked key by key
    except OSError as error:
        raise ValueError(f"a path that can be used (found: {error.strerror})") from None
    return text


Text = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_without_nul)]
PathText = Annotated[Text, pydantic.AfterValidator(_usable_path)]
Whole = Annotated[int, pydantic.Field(lt=2**31)]  # TensorFlow's sizes and Beam's counts are 32 bits wide


def is_text(kind: Any) -> bool:
    """Whether what a value of that type is, when it is not None, is a string."""
    if get_origin(kind) is Annotated:
        return is_text(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType, Literal):
        return all(part is NoneType or isinstance(part, str) or is_text(part) for part in get_args(kind))
    return kind is str
