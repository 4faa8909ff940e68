"""Vocabulary: `vocabulary.txt` and `tokenizer.json`, as in an exported model, the words' counts, and figures."""

from collections.abc import Mapping
from pathlib import Path

from typing_extensions import TypedDict

from components.artifacts import word_rows
from components.artifacts.document import Document
from components.base import ComponentError
from models import files
from models.text.vocabulary_files import VOCABULARY_FILE

WORD_COUNTS_FILE = "counts.tsv"


class VocabularyFigures(TypedDict):
    """The vocabulary's figures.

    Attributes:
        size: Number of words that have an id.
        tokens: Number of tokens of the train split.
        coverage: Share of those tokens whose word has an id.
    """

    size: int
    tokens: int
    coverage: float


FIGURES = Document("vocabulary.json", VocabularyFigures, "VocabularyGen")


def write_words(folder: Path, counts: Mapping[bytes, int]) -> None:
    """Writes the words, and each word's count in the train split.

    Args:
        folder: The artifact's folder.
        counts: Word -> count, in the order of the words' ids.
    """
    with files.writing(folder / VOCABULARY_FILE) as vocabulary, files.writing(folder / WORD_COUNTS_FILE) as table:
        for word, count in counts.items():
            vocabulary.write(word + b"\n")
            table.write(word_rows.row(word, count))


def read_counts(folder: Path) -> list[tuple[bytes, int]]:
    """Reads the words in the order of their ids, each with its count in the train split.

    Args:
        folder: The artifact's folder.

    Raises:
        ComponentError: If the file is missing or damaged.
    """
    path = folder / WORD_COUNTS_FILE
    try:
        return list(word_rows.parse(path.read_bytes().split(b"\n")[:-1]))
    except (OSError, ValueError) as error:
        raise ComponentError(f"{path} cannot be read ({error}). Run VocabularyGen again (--no-cache).") from error
