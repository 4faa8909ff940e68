"""Bytes that should be UTF-8 text: how many are not, and how names and excerpts of them are shown to people."""

EXCERPT = 80  # characters of a text that a message shows


def count_invalid(text: bytes) -> tuple[int, int]:
    """Bytes that are not UTF-8, and Unicode characters once they are replaced.

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
    """Text for a message or a JSON file: what cannot be printed is escaped, what is longer than `limit` is cut."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    shown = text.decode("utf-8", "backslashreplace")
    if limit is not None and len(shown) > limit:
        shown = shown[:limit] + "…"
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in shown)
