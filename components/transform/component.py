"""Transform: the text as token ids."""

from typing import ClassVar

from components import base


class Transform(base.Component):
    """Writes every split's token ids in the corpus's order, with their index."""

    INPUTS: ClassVar = {"examples": "Examples", "vocabulary": "Vocabulary"}
    OUTPUTS: ClassVar = {"transformed_examples": "Examples"}

    class Parameters(base.Parameters):
        """How the work is run.

        Attributes:
            beam_args: Options of the Beam runner.
        """

        beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)
