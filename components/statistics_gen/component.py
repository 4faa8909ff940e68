"""StatisticsGen: what is in each split, counted."""

from typing import ClassVar, Literal

from components import base


class StatisticsGen(base.Component):
    """Counts documents, lines, tokens, characters, invalid bytes, duplicates, and lines shared with train."""

    INPUTS: ClassVar = {"examples": "Examples"}
    OUTPUTS: ClassVar = {"statistics": "ExampleStatistics"}

    class Parameters(base.Parameters):
        """How tokens are counted: as training will see them.

        Attributes:
            tokenizer: Kind of tokenizer; wordpieces are counted as the words that they are made of.
            lowercase: Whether the text is lower-cased.
            keep_blank_lines: Whether a blank line counts as a lone `<eos>`.
            beam_args: Options of the Beam runner.
        """

        tokenizer: Literal["whitespace", "unicode_words", "wordpiece"]
        lowercase: bool = False
        keep_blank_lines: bool = False
        beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)
