"""Transform: the text as token ids."""

from typing import ClassVar

import pydantic

from components import base


class Transform(base.Component):
    """Writes every split's token ids in the corpus's order, with their index."""

    INPUTS: ClassVar = {"examples": "Examples", "vocabulary": "Vocabulary"}
    OUTPUTS: ClassVar = {"transformed_examples": "Examples"}

    class Parameters(base.Parameters):
        """How the work is run and judged.

        Attributes:
            max_unk_share: Share of a split's tokens without an id of their own above which there is a warning.
            fail_on_unk: Whether the run fails there instead.
            beam_args: Options of the Beam runner.
        """

        max_unk_share: float = pydantic.Field(default=1.0, ge=0, le=1)
        fail_on_unk: bool = False
        beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)
