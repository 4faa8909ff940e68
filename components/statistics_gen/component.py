"""StatisticsGen: what is in each split, counted."""

from typing import ClassVar

from components import base
from models.settings import TokenizerSettings


class StatisticsGen(base.Component):
    """Counts documents, lines, tokens, characters, invalid bytes, duplicates, and lines shared with train."""

    INPUTS: ClassVar = {"examples": "Examples"}
    OUTPUTS: ClassVar = {"statistics": "ExampleStatistics"}

    class Parameters(TokenizerSettings, base.BeamParameters):
        """How tokens are counted: as training will see them, wordpieces as the words that they are made of."""
