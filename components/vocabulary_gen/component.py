"""VocabularyGen: decides which words have an id."""

from collections.abc import Iterator
from typing import ClassVar

from components import base
from models.parameters import Whole, setting
from models.settings import TokenizerSettings


class VocabularySettings(TokenizerSettings):
    """How the text is cut into words, and which words are kept."""

    max_size: Whole = setting(
        20_000,
        "Words kept, most frequent first, <unk> and <eos> counted; 0 keeps every word, or 8,000 pieces with tokenizer "
        "wordpiece.",
        ge=0,
    )
    min_count: Whole = setting(2, "Occurrences in the train split below which a word is <unk>.", ge=1)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields the key and the message of each setting that contradicts another one."""
        yield from super().contradictions()
        if self.max_size in (1, 2):
            yield (
                "max_size",
                f"found {self.max_size}, expected 3 or more (<unk> and <eos> are two of them), or 0 for every word.",
            )


class VocabularyGen(base.Component):
    """Counts the words of the train split and keeps the most frequent, in a reproducible order."""

    INPUTS: ClassVar = {"examples": "Examples"}
    OUTPUTS: ClassVar = {"vocabulary": "Vocabulary"}

    class Parameters(VocabularySettings, base.BeamParameters):
        """How the text is cut into words, which words are kept, and Beam's options."""
