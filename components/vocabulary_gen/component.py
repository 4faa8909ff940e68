"""VocabularyGen: which words have an id."""

from typing import ClassVar, Literal

import pydantic

from components import base


class VocabularyGen(base.Component):
    """Counts the words of the train split and keeps the most frequent, in an order that never varies."""

    INPUTS: ClassVar = {"examples": "Examples"}
    OUTPUTS: ClassVar = {"vocabulary": "Vocabulary"}

    class Parameters(base.Parameters):
        """What counts as a word and which words are kept.

        Attributes:
            max_size: Words kept, `<unk>` and `<eos>` counted; 0: all (wordpiece: 8,000 pieces).
            min_count: Occurrences below which a word is unknown.
            tokenizer: Kind of tokenizer.
            lowercase: Whether the text is lower-cased.
            keep_blank_lines: Whether a blank line counts as a lone `<eos>`.
            beam_args: Options of the Beam runner.
        """

        max_size: int = pydantic.Field(default=0, ge=0)
        min_count: int = pydantic.Field(default=1, ge=1)
        tokenizer: Literal["whitespace", "unicode_words", "wordpiece"]
        lowercase: bool = False
        keep_blank_lines: bool = False
        beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)

        @pydantic.field_validator("max_size")
        @classmethod
        def _has_room_for_reserved_words(cls, value: int) -> int:
            if value in (1, 2):
                raise ValueError("max_size counts <unk> and <eos>: it must be 0 (all words) or at least 3")
            return value
