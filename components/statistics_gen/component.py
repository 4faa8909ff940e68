"""StatisticsGen: counts the contents of each split."""

from typing import ClassVar

from components import base
from models.settings import TokenizerSettings


class StatisticsGen(base.Component):
    """Counts documents, lines, tokens, characters, invalid bytes, duplicates, and lines shared with train."""

    INPUTS: ClassVar = {"examples": "Examples"}
    OUTPUTS: ClassVar = {"statistics": "ExampleStatistics"}

    class Parameters(TokenizerSettings, base.BeamParameters):
        """The tokenizer's settings (wordpieces are counted as the words they are made of), and Beam's options."""
