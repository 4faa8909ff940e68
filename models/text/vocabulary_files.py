"""The two files of a vocabulary that a tokenizer is made of. Needs no TensorFlow."""

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import files

VOCABULARY_FILE = "vocabulary.txt"  # one word a line, the line number being its id
SETTINGS_FILE = "tokenizer.json"
TOKENIZERS = ("whitespace", "unicode_words", "wordpiece")


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes how text is cut into words.

    Args:
        folder: The vocabulary's folder, which exists; the file is `tokenizer.json`.
        settings: What `Tokenizer.settings` returns.
    """
    files.write_text(folder / SETTINGS_FILE, json.dumps(settings) + "\n")


def read_settings(folder: Path) -> dict[str, Any]:
    """Reads how text is cut into words.

    Args:
        folder: The vocabulary's folder with `tokenizer.json`.

    Returns:
        Arguments of `models.text.tokenizer.Tokenizer`: `tokenizer`, `lowercase` and `keep_blank_lines`.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If the file is not JSON, or does not hold these three settings.
    """
    path = folder / SETTINGS_FILE
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}). Run VocabularyGen again (--no-cache).") from None
    expected = {"tokenizer": str, "lowercase": bool, "keep_blank_lines": bool}
    types = {key: type(value) for key, value in settings.items()} if isinstance(settings, dict) else None
    if types != expected or settings["tokenizer"] not in TOKENIZERS:
        raise ValueError(
            f"{path} holds {reprlib.repr(settings)}, expected one of {', '.join(TOKENIZERS)} as tokenizer, and true or "
            "false as lowercase and keep_blank_lines. Run VocabularyGen again (--no-cache)."
        )
    return dict(settings)
