"""The slices on which a split's tokens are judged: the bucket of each dimension that a token falls in.

A slice is written `dimension:bucket`, as in `line_length:6-10`. The dimensions are

- `word_frequency`: how often training text has the predicted word; `<unk>` and `<eos>` have their own buckets,
- `line_position`: the predicted word's position in its line, from 1,
- `line_length`: number of tokens of the line, including its `<eos>`,
- `line_unknown`: whether the line has an `<unk>` (`with`) or not (`without`),
- `document`: the document's name, if a split has several: the 20 largest, and all others together.
"""

import difflib
from collections.abc import Callable, Sequence

import numpy as np

UNK_ID, EOS_ID = 0, 1
MAX_DOCUMENTS = 20
OTHER_DOCUMENTS = "(others)"
SCAN = 1 << 20  # number of tokens that are read at once when a whole stream is scanned

_LENGTH_EDGES = (2, 6, 11, 21, 41)
_LENGTH_BUCKETS = ("1", "2-5", "6-10", "11-20", "21-40", "41+")
_FREQUENCY_EDGES = (1, 10, 100, 1000, 10000)
_FREQUENCY_BUCKETS = ("0", "1-9", "10-99", "100-999", "1000-9999", "10000+")

BUCKETS = {
    "word_frequency": ("<unk>", "<eos>", *_FREQUENCY_BUCKETS),
    "line_position": _LENGTH_BUCKETS,
    "line_length": _LENGTH_BUCKETS,
    "line_unknown": ("with", "without"),
}


def check_slice(name: str) -> str:
    """Returns `name` if it can be a slice.

    Args:
        name: A slice, written `dimension:bucket`.

    Raises:
        ValueError: If the dimension or the bucket is unknown; the message names the nearest known slice.
    """
    dimension, _, bucket = name.partition(":")
    if dimension == "document" and bucket:
        return name
    known = [f"{key}:{label}" for key, labels in BUCKETS.items() for label in labels]
    if name not in known:
        near = difflib.get_close_matches(name, [*known, "document:NAME"], n=1, cutoff=0.0)[0]
        # The configuration puts "found ..., expected" before this message.
        raise ValueError(
            f"a slice that is known; the nearest to {name!r} is {near!r} "
            f"(the dimensions are {', '.join([*BUCKETS, 'document'])})"
        )
    return name


class LineIndex:
    """The positions of the lines of a token stream: arrays of one entry a line.

    Args:
        stream: Token ids, a sequence whose slices are int32 arrays. Every line ends with `<eos>`; tokens after the last
            `<eos>` make one more line.

    Attributes:
        starts: int64 [lines], offset of each line's first token.
        lengths: int64 [lines], number of tokens of each line.
        has_unknown: bool [lines], whether the line has an `<unk>`.
    """

    def __init__(self, stream: Sequence[int]):
        size = len(stream)
        blocks = [(start, np.asarray(stream[start : min(start + SCAN, size)])) for start in range(0, size, SCAN)]
        ends = [start + np.flatnonzero(block == EOS_ID) for start, block in blocks]
        unknown = [start + np.flatnonzero(block == UNK_ID) for start, block in blocks]
        self._last = np.concatenate(ends) if ends else np.zeros(0, np.int64)  # offset of each line's last token
        if size and (not len(self._last) or self._last[-1] != size - 1):
            self._last = np.append(self._last, size - 1)
        self.starts = np.concatenate([[0], self._last[:-1] + 1]).astype(np.int64) if size else self._last
        self.lengths = self._last - self.starts + 1
        self.has_unknown = np.zeros(len(self._last), bool)
        if unknown:
            self.has_unknown[self.of(np.concatenate(unknown))] = True

    def __len__(self) -> int:
        return len(self._last)

    def of(self, offsets: np.ndarray) -> np.ndarray:
        """Returns the index of the line of each token offset, int64 of the same shape.

        Args:
            offsets: Offsets in the split's tokens, int of any shape.
        """
        return np.searchsorted(self._last, offsets, side="left")


class Slicer:
    """Assigns a window of a stream's tokens to the buckets of every dimension.

    Args:
        lines: The stream's lines.
        train_counts: int64 [V], how often training text has each word.
        documents: Names of the documents of the split's examples, in order, and the token offset at which each example
            ends. None, or a single document, leaves the dimension `document` out.
    """

    def __init__(
        self, lines: LineIndex, train_counts: np.ndarray, documents: tuple[list[str], np.ndarray] | None = None
    ):
        self._lines = lines
        words = 2 + np.digitize(train_counts, _FREQUENCY_EDGES)
        words[[UNK_ID, EOS_ID]] = 0, 1
        self.buckets = dict(BUCKETS)
        self._functions: dict[str, Callable] = {
            "word_frequency": lambda targets, offsets, line: words[targets],
            "line_position": lambda targets, offsets, line: np.digitize(
                offsets - lines.starts[line] + 1, _LENGTH_EDGES
            ),
            "line_length": lambda targets, offsets, line: np.digitize(lines.lengths[line], _LENGTH_EDGES),
            "line_unknown": lambda targets, offsets, line: np.where(lines.has_unknown[line], 0, 1),
        }
        if documents is not None and len(set(documents[0])) > 1:
            self._add_documents(*documents)

    def _add_documents(self, names: list[str], ends: np.ndarray) -> None:
        sizes: dict[str, int] = {}
        for name, tokens in zip(names, np.diff(ends, prepend=0), strict=True):
            sizes[name] = sizes.get(name, 0) + int(tokens)
        largest = sorted(sizes, key=sizes.get, reverse=True)[:MAX_DOCUMENTS]
        labels = (*largest, OTHER_DOCUMENTS) if len(sizes) > len(largest) else tuple(largest)
        place = {name: bucket for bucket, name in enumerate(largest)}
        bucket_of_run = np.array([place.get(name, len(largest)) for name in names])
        self.buckets["document"] = labels
        self._functions["document"] = lambda targets, offsets, line: bucket_of_run[
            np.searchsorted(ends, offsets, side="right")
        ]

    def assign(self, start: int, targets: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Assigns consecutive tokens to lines and buckets.

        Args:
            start: Offset of the first token in the stream.
            targets: int32 [n], the tokens.

        Returns:
            The line of each token, int64 [n], and for each dimension the bucket of each token, int [n].
        """
        offsets = np.arange(start, start + len(targets))
        line = self._lines.of(offsets)
        return line, {name: function(targets, offsets, line) for name, function in self._functions.items()}
