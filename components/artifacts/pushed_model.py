"""PushedModel: `pushed.json`, the version that the model was pushed as."""

from typing import NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document


class Pushed(TypedDict):
    """A push, or a rollback.

    Attributes:
        path: The version's folder. It is None, like the next two, if nothing was pushed.
        version: The version's number.
        digest: SHA-256 of the model, without its card.
        rollback_of: For a rollback only: the older version that was republished.
        replaced: For a rollback only: the version that was the newest until then.
    """

    path: str | None
    version: int | None
    digest: str | None
    rollback_of: NotRequired[int]
    replaced: NotRequired[int]


PUSHED = Document("pushed.json", Pushed, "Pusher")
