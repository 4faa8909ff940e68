"""Examples as token ids: `counts.json`, the number of tokens of each split."""

from typing_extensions import TypedDict

from components.artifacts.document import Document


class SplitTokens(TypedDict):
    """The tokens that the tokenizer found in a split.

    Attributes:
        tokens: Number of tokens.
        unknown: Number of those that have no id of their own.
    """

    tokens: int
    unknown: int


class TokenCounts(TypedDict):
    """The tokens of each split."""

    train: SplitTokens
    eval: SplitTokens
    test: SplitTokens


COUNTS = Document("counts.json", TokenCounts, "Transform")
