"""Text of any size for the data components: a real text repeated, each copy with other random changes."""

from pathlib import Path

import numpy as np

SWAPPED = 0.1  # share of the words that are replaced by another word of the text, more often by a frequent one
NUMBERED = 0.005  # share of the words that are replaced by a number, so that new words keep coming as in real text
LARGEST_NUMBER = 1e7


def write(path: Path, size: int, source: Path) -> None:
    """Writes `size` bytes of text, or a little more, up to the end of a line; the same text at every call.

    Args:
        path: The file to write.
        size: Size in bytes.
        source: File with the text to repeat, one sentence a line.
    """
    lines = [line.split() for line in source.read_bytes().splitlines()]
    tokens = np.array([token for line in lines for token in (*line, b"\n")], object)
    words = np.flatnonzero(tokens != b"\n")
    generator = np.random.default_rng(1)
    with path.open("wb") as file:
        while (left := size - file.tell()) > 0:
            copy = tokens.copy()
            swapped = words[generator.random(len(words)) < SWAPPED]
            copy[swapped] = tokens[generator.choice(words, len(swapped))]
            numbered = words[generator.random(len(words)) < NUMBERED]
            numbers = LARGEST_NUMBER ** generator.random(len(numbered))
            copy[numbered] = [b"%d" % number for number in numbers]
            text = b" ".join(copy.tolist()).replace(b" \n ", b"\n")
            file.write(text if len(text) <= left else text[: text.index(b"\n", left - 1) + 1])
