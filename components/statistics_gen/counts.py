"""The counts of StatisticsGen for a piece of text, and how the counts of pieces are added up."""

import collections
import functools
import unicodedata
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np

from components.text_bytes import EXCERPT, count_invalid, printable

LONGEST = 10_000  # number of words; longer lines are counted as this long
EDGES = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 500, 1000)
CODES = 0x110000  # number of Unicode's codes


@dataclass(frozen=True, order=True)
class LongLine:
    """The longest line.

    Attributes:
        size: Its bytes without its line end.
        document: Its document.
        line: Its number in the document, from 1.
        text: Its first characters.
    """

    size: int = 0
    document: str = ""
    line: int = 0
    text: str = ""


@dataclass
class Counts:
    """Counts of a run of Examples; `a + b` are the counts of run a followed by run b.

    Attributes:
        documents: Number of documents that begin or continue here.
        size: Bytes of text.
        characters: Unicode characters, line ends included; an invalid byte sequence counts as one.
        invalid_bytes: Bytes that are not UTF-8.
        nul_bytes: Zero bytes, which suggest UTF-16 or binary data.
        blank_lines: Lines with only white space.
        tokens: Words and `<eos>`.
        unknown: Number of the tokens that are written `<unk>` in the text.
        lengths: int64 `[LONGEST + 1]`, number of lines by their number of words without `<eos>`.
        scripts: Letters by their script, the first word of the letter's Unicode name: LATIN, CYRILLIC, CJK.
        longest: The longest line.
        largest: Bytes and name of the largest document.
        first: Name of the first document; None if there is none.
        last: Name of the last document; None if there is none.
        first_size: Bytes of the first document here.
        last_size: Bytes of the last document here.
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
    scripts: collections.Counter = field(default_factory=collections.Counter)
    longest: LongLine = LongLine()
    largest: tuple[int, bytes] = (0, b"")
    first: bytes | None = None
    last: bytes | None = None
    first_size: int = 0
    last_size: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        if self.last is None or other.last is None:
            known = other if self.last is None else self
            first, last, first_size, last_size = known.first, known.last, known.first_size, known.last_size
            largest, joined = known.largest, False
        else:
            joined = self.last == other.first  # a document that continues in the next run
            whole = self.last_size + other.first_size
            first, last = self.first, other.last
            first_size = whole if joined and self.documents == 1 else self.first_size
            last_size = whole if joined and other.documents == 1 else other.last_size
            largest = max(self.largest, other.largest, (whole, self.last) if joined else (0, b""))
        summed = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)[:10]}
        summed["documents"] -= joined
        longest = max(self.longest, other.longest)
        return Counts(**summed, longest=longest, largest=largest, first=first, last=last, first_size=first_size,
                      last_size=last_size)  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Returns the counts as JSON. The bytes of documents' names become characters with the same codes."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        texts = {name: value and value.decode("latin-1") for name, value in values.items() if name in ("first", "last")}
        largest = self.largest[0], self.largest[1].decode("latin-1")
        return values | texts | {"largest": largest, "lengths": self.lengths.tolist(), "longest": astuple(self.longest)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Counts":
        """Rebuilds the counts from what `to_json` returned.

        Args:
            values: What `to_json` returned.
        """
        texts = {name: values[name] and values[name].encode("latin-1") for name in ("first", "last")}
        size, name = values["largest"]
        return cls(**{**values, **texts, "largest": (size, name.encode("latin-1")),
                      "lengths": np.array(values["lengths"], np.int64),
                      "scripts": collections.Counter(values["scripts"]),
                      "longest": LongLine(*values["longest"])})  # fmt: skip

    def add_example(self, document: bytes, text: bytes, position: int = 0) -> None:
        """Counts everything in an Example's bytes that does not need its words.

        Args:
            document: Name of its document.
            text: Whole lines of the document.
            position: Index of the first line in the document.
        """
        invalid_bytes, characters = count_invalid(text)
        if document != self.last:
            self.documents += 1
            self.last_size = 0
        self.size += len(text)
        self.characters += characters
        self.invalid_bytes += invalid_bytes
        self.nul_bytes += text.count(b"\0")
        self.first = document if self.first is None else self.first
        self.last = document
        self.last_size += len(text)
        self.first_size += len(text) if self.documents == 1 else 0
        self.largest = max(self.largest, (self.last_size, document))
        lines = text.splitlines()
        size = max(map(len, lines), default=0)
        if size > self.longest.size:
            index, line = next((index, line) for index, line in enumerate(lines) if len(line) == size)
            self.longest = LongLine(
                size, printable(document), position + index + 1, printable(line[: 4 * EXCERPT], EXCERPT)
            )

    def summary(self) -> dict[str, Any]:
        """Returns the counts as JSON, with the shares and the histogram for the report."""
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
            "largest_document": {
                "name": printable(self.largest[1]),
                "bytes": self.largest[0],
                "share": self.largest[0] / max(1, self.size),
            },
            "longest_line": {
                "bytes": self.longest.size,
                "document": self.longest.document,
                "line": self.longest.line,
                "text": self.longest.text,
            },
            "scripts": dict(sorted(self.scripts.items(), key=lambda item: (-item[1], item[0]))),
            "line_length": {
                "mean": float(self.lengths @ np.arange(LONGEST + 1) / max(1, lines)),
                "median": int(np.searchsorted(cumulative, (lines + 1) // 2)) if lines else 0,
                "max": int(self.lengths.nonzero()[0].max(initial=0)),
                # Bin i has the lines of edges[i] to edges[i + 1] - 1 words, the last all longer ones.
                "edges": list(EDGES),
                "counts": np.add.reduceat(self.lengths, edges).tolist(),
            },
        }


def add_codes(totals: np.ndarray, text: bytes) -> None:
    """Counts each character of a text.

    Args:
        totals: int64 `[CODES]`, to which the numbers of occurrences are added.
        text: The text; invalid bytes count as U+FFFD.
    """
    codes = np.frombuffer(text.decode("utf-8", "replace").encode("utf-32-le"), np.uint32)
    counts = np.bincount(codes)
    totals[: len(counts)] += counts


def count_scripts(totals: np.ndarray) -> collections.Counter:
    """Counts letters by script.

    Args:
        totals: int64 `[CODES]`, number of occurrences of each character.
    """
    scripts: collections.Counter = collections.Counter()
    for code in np.flatnonzero(totals).tolist():
        if (script := _script(code)) is not None:
            scripts[script] += int(totals[code])
    return scripts


@functools.cache
def _script(code: int) -> str | None:
    """Returns the first word of a letter's Unicode name, which names its script; None if it is not a letter."""
    letter = chr(code)
    name = unicodedata.name(letter, "") if unicodedata.category(letter).startswith("L") else ""
    return name.split(" ")[0].split("-")[0] or None
