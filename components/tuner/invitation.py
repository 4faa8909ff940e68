"""The file that a chief writes into its workspace for workers: which search this is, and on which inputs."""

from typing import Any

from typing_extensions import TypedDict

from components.artifacts.document import Document


class Invitation(TypedDict):
    """A search that has begun.

    Attributes:
        inputs: The Tuner's inputs: absolute paths by key.
        parameters: The Tuner's parameters, as JSON.
        host: Name of the chief's machine.
        process: Process id of the chief on that machine.
    """

    inputs: dict[str, str]
    parameters: dict[str, Any]
    host: str
    process: int


INVITATION = Document("invitation.json", Invitation, "Tuner")
