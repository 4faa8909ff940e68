"""Decides which split a text belongs to: by its name, by a stable hash of its document, or by its line's position."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from components.base import ComponentError
from components.example_gen.lines import LineRun

MIN_DOCUMENTS_TO_HASH = 50  # with fewer documents, lines are held out instead
HASHES_TO_LOOK_AT = 400  # with this many documents, a share of 5% is empty once in a billion corpora
HELD_OUT_SHARE = 0.05  # of the documents or of the lines, for each split that the source lacks

_SPLIT_OF_WORD = {
    "train": "train",
    "training": "train",
    "valid": "eval",
    "validation": "eval",
    "val": "eval",
    "eval": "eval",
    "evaluation": "eval",
    "dev": "eval",
    "test": "test",
    "testing": "test",
}


def split_of_name(name: str) -> str | None:
    """Returns the split that a name's words name, such as `ptb.valid.txt` -> "eval"; None if they name none, or two.

    Args:
        name: The name of a file or folder.
    """
    named = {_SPLIT_OF_WORD[word] for word in re.findall(r"[a-z]+", name.lower()) if word in _SPLIT_OF_WORD}
    return named.pop() if len(named) == 1 else None


def split_of_path(path: str) -> str | None:
    """Returns the split that a file's name names or, failing that, the nearest of its folders.

    Args:
        path: Relative POSIX path.

    Returns:
        The split, or None if no part of the path names one.
    """
    parts = reversed(PurePosixPath(path).parts)
    return next((split for part in parts if (split := split_of_name(part)) is not None), None)


def document_fraction(key: bytes) -> float:
    """Returns a number in [0, 1) that depends only on `key`: the position of a document in the 90/5/5 division.

    Args:
        key: What identifies the document, in every process and run.
    """
    return int.from_bytes(hashlib.sha256(key).digest()[:7], "big") / 2**56


def run_fraction(run: LineRun) -> float:
    """Returns the fraction of the document that begins with `run`, by its text: blocks have no lasting names.

    Args:
        run: The document's first run.
    """
    return document_fraction(run.text.strip())


@dataclass(frozen=True)
class WholeSplit:
    """The rule that everything belongs to one split."""

    split: str

    def route(self, runs: Iterable[LineRun], first_line: int) -> Iterator[tuple[str, LineRun]]:
        """Yields each run with its split; `first_line` is the index in the corpus of the first line of `runs`.

        Args:
            runs: The runs, in the corpus's order.
            first_line: Index in the corpus of the first line of `runs`.
        """
        del first_line
        return ((self.split, run) for run in runs)


@dataclass(frozen=True)
class ByDocument:
    """The rule that a document belongs to the first split whose bound its fraction reaches, otherwise to train.

    Attributes:
        bounds: (split, lowest fraction), highest bound first.
    """

    bounds: tuple[tuple[str, float], ...]

    def split_of(self, fraction: float) -> str:
        """Returns the split of a document's fraction.

        Args:
            fraction: The document's fraction, in [0, 1).
        """
        return next((split for split, bound in self.bounds if fraction >= bound), "train")

    def route(self, runs: Iterable[LineRun], first_line: int) -> Iterator[tuple[str, LineRun]]:
        """Yields each run with its split; `runs` begin at the start of a document, and `first_line` is not used.

        Args:
            runs: The runs, in the corpus's order.
            first_line: Index in the corpus of the first line of `runs`.
        """
        del first_line
        split = "train"
        for run in runs:
            if run.position == 0:
                split = self.split_of(run_fraction(run))
            yield split, run


@dataclass(frozen=True)
class ByLine:
    """The rule that the corpus's last lines are held out.

    Attributes:
        starts: (split, index in the corpus of its first line), in ascending order; train comes before them.
    """

    starts: tuple[tuple[str, int], ...]

    def route(self, runs: Iterable[LineRun], first_line: int) -> Iterator[tuple[str, LineRun]]:
        """Yields each run with its split, cut where a split begins.

        Args:
            runs: Consecutive runs.
            first_line: Index in the corpus of the first line of `runs`.
        """
        for run in runs:
            yield from self._cut(run, first_line)
            first_line += len(run.lines)

    def _cut(self, run: LineRun, first_line: int) -> Iterator[tuple[str, LineRun]]:
        bounds = [("train", 0), *self.starts]
        ends = [start for _, start in self.starts] + [first_line + len(run.lines)]
        for (split, start), end in zip(bounds, ends, strict=True):
            begin, stop = max(start - first_line, 0), max(end - first_line, 0)
            if lines := run.lines[begin:stop]:
                yield split, LineRun(run.document, run.position + begin, lines)


SplitRule = WholeSplit | ByDocument | ByLine


def hold_out_documents(fractions: Iterable[float], missing: Sequence[str]) -> ByDocument:
    """Returns the rule that takes 5% of the documents for each missing split, and at least one document.

    Args:
        fractions: Fractions of the documents (of the first `HASHES_TO_LOOK_AT`, if there are more).
        missing: The splits that the source lacks, in the order of `SPLITS`.
    """
    descending = sorted(set(fractions), reverse=True)
    bounds = []
    for taken, split in enumerate(reversed(missing)):
        lower = 1 - HELD_OUT_SHARE * (taken + 1)
        above = bounds[-1][1] if bounds else 1.0
        nearest = next((fraction for fraction in descending if fraction < above), lower)
        bounds.append((split, min(lower, nearest)))
    return ByDocument(tuple(bounds))


def hold_out_lines(total: int, missing: Sequence[str]) -> ByLine:
    """Returns the rule that takes the last 5% of the lines for each missing split, and at least one line.

    Args:
        total: Number of lines.
        missing: The splits that the source lacks, in the order of `SPLITS`.

    Raises:
        ComponentError: If there are too few lines to give each split one.
    """
    held = max(1, int(total * HELD_OUT_SHARE))
    if total <= held * len(missing):
        raise ComponentError(
            f"example_gen.data_dir: the text to train on has {total} line(s), too few to hold out the "
            f"{' and '.join(missing)} split(s) from its end. Supply more text, or files with train, valid and test in "
            "their names."
        )
    starts = [total - held * (len(missing) - index) for index in range(len(missing))]
    return ByLine(tuple(zip(missing, starts, strict=True)))
