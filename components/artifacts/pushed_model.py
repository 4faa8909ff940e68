"""PushedModel: `pushed.json`, where the model was pushed."""

from typing import NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document


class Pushed(TypedDict):
    """A push, or a rollback.

    Attributes:
        path: The version's folder; None, as the next two, where nothing was pushed.
        version: Its number.
        digest: SHA-256 of the model, its card left out.
        rollback_of: Of a rollback: the older version that it is again.
        replaced: Of a rollback: the version that gave way to it.
    """

    path: str | None
    version: int | None
    digest: str | None
    rollback_of: NotRequired[int]
    replaced: NotRequired[int]


PUSHED = Document("pushed.json", Pushed, "Pusher")
