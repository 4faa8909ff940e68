"""Transform: writes the text as token ids."""

from typing import ClassVar

from components import base
from models.parameters import setting


class Transform(base.Component):
    """Writes every split's token ids in the corpus's order, with an index."""

    INPUTS: ClassVar = {"examples": "Examples", "vocabulary": "Vocabulary"}
    OUTPUTS: ClassVar = {"transformed_examples": "Examples"}

    class Parameters(base.BeamParameters):
        """The limit for words without an id, and Beam's options."""

        max_unk_share: float = setting(
            1.0, "Share of a split's tokens without an id of their own above which there is a warning.", ge=0, le=1
        )
        fail_on_unk: bool = setting(False, "Whether the run fails there instead.")
