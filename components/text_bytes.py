"""Helpers for bytes that should be UTF-8 text: counting invalid bytes, and making names and excerpts printable."""

EXCERPT = 80  # number of characters of a text that a message shows


def count_invalid(text: bytes) -> tuple[int, int]:
    """Counts the bytes that are not UTF-8, and the characters of the text after each of them has been replaced.

    Args:
        text: Any bytes.

    Returns:
        invalid_bytes, characters.
    """
    try:
        return 0, len(text.decode())
    except UnicodeDecodeError:
        valid = len(text.decode("utf-8", "ignore").encode())
        return len(text) - valid, len(text.decode("utf-8", "replace"))


def printable(text: bytes | str, limit: int | None = None) -> str:
    r"""Makes a text fit for a message or a JSON file: characters that cannot be printed are escaped.

    Args:
        text: The text. Bytes that are not UTF-8 become escapes such as `\xff`.
        limit: Number of characters above which the text is cut and ends with "…"; None never cuts.
    """
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    shown = text.decode("utf-8", "backslashreplace")
    if limit is not None and len(shown) > limit:
        shown = shown[:limit] + "…"
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in shown)
