"""What StatisticsGen counts in a piece of text, and how the counts of pieces add up."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from components.text_bytes import count_invalid

LONGEST = 10_000  # words; longer lines are counted as this long
EDGES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)


@dataclass
class Counts:
    """Counts of a run of Examples; `a + b` are those of run a followed by run b.

    Attributes:
        documents: Documents begun or continued here.
        size: Bytes of text.
        characters: Unicode characters, newlines included, an invalid byte sequence counting as one.
        invalid_bytes: Bytes that are not UTF-8.
        nul_bytes: Zero bytes, which hint at UTF-16 or at binary data.
        blank_lines: Lines of nothing but white space.
        tokens: Words and `<eos>`.
        unknown: Of the tokens, those that read `<unk>` in the text.
        lengths: int64 `[LONGEST + 1]`, lines by their number of words without `<eos>`.
        first, last: Names of the first and the last document; None where there is none.
    """

    documents: int = 0
    size: int = 0
    characters: int = 0
    invalid_bytes: int = 0
    nul_bytes: int = 0
    blank_lines: int = 0
    tokens: int = 0
    unknown: int = 0
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(LONGEST + 1, np.int64))
    first: bytes | None = None
    last: bytes | None = None

    def __add__(self, other: "Counts") -> "Counts":
        summed = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[:-2]}
        if self.last is not None and self.last == other.first:
            summed["documents"] -= 1  # goes on in the next run
        first = other.first if self.first is None else self.first
        last = self.last if other.last is None else other.last
        return Counts(**summed, first=first, last=last)

    def add_example(self, document: bytes, text: bytes) -> None:
        """Counts what can be counted in an Example's bytes without cutting it into words."""
        invalid_bytes, characters = count_invalid(text)
        self.documents += document != self.last
        self.size += len(text)
        self.characters += characters
        self.invalid_bytes += invalid_bytes
        self.nul_bytes += text.count(b"\0")
        self.first = document if self.first is None else self.first
        self.last = document

    def summary(self) -> dict[str, Any]:
        """The counts as JSON, with the shares and the histogram that people read."""
        lines = int(self.lengths.sum())
        edges = np.array(EDGES)
        cumulative = self.lengths.cumsum()
        return {
            "documents": self.documents,
            "bytes": self.size,
            "characters": self.characters,
            "lines": lines,
            "blank_lines": self.blank_lines,
            "tokens": self.tokens,
            "unk_tokens": self.unknown,
            "unk_share": self.unknown / max(1, self.tokens),
            "invalid_bytes": self.invalid_bytes,
            "invalid_fraction": self.invalid_bytes / max(1, self.size),
            "nul_bytes": self.nul_bytes,
            "line_length": {
                "mean": float(self.lengths @ np.arange(LONGEST + 1) / max(1, lines)),
                "median": int(np.searchsorted(cumulative, (lines + 1) // 2)) if lines else 0,
                "max": int(self.lengths.nonzero()[0].max(initial=0)),
                # Bin i has the lines of edges[i] to edges[i + 1] - 1 words, the last all longer ones.
                "edges": list(EDGES),
                "counts": np.add.reduceat(self.lengths, edges).tolist(),
            },
        }
