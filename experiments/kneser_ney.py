"""A count model for comparison: interpolated Kneser-Ney 5-grams on the same tokens.

    python -m experiments.kneser_ney --data-dir FOLDER

The smoothing is that of Chen & Goodman (1999): orders below the highest count the different words before an n-gram.
Counts of 1, 2, and 3 or more have a discount each (as in SRILM and KenLM), or all have the same one (`--discounts 1`,
as in Kneser & Ney). All n-grams are kept. A context reaches back to the beginning of its line, which is the `<eos>`
before it; every word and every line's `<eos>` is predicted once. An n-gram at the beginning of a line has no word
before it; there, all its occurrences count.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.base import ComponentError
from components.example_gen import corpora
from experiments import rows
from experiments.records import Records, RecordsError
from pipeline import config
from pipeline.exit_codes import DONE, USAGE_ERROR

ORDER = 5
EOS, UNK = "<eos>", "<unk>"


@dataclass(frozen=True)
class Level:
    """The n-grams of one length, [n-grams] in the order of their keys, and their contexts, [contexts].

    Attributes:
        keys: int64, ascending: the context's id · V + the last word. An n-gram's position is its id as a context.
        discounted: Counts less their discounts.
        totals: Sum of the counts after each context; 0 if the context ends a line.
        held_back: Sum of the discounts after each context.
    """

    keys: np.ndarray
    discounted: np.ndarray
    totals: np.ndarray
    held_back: np.ndarray


class KneserNey:
    """The n-gram model of one text.

    Args:
        tokens: The text, int [n]; each line ends with `eos`.
        vocabulary_size: Number of words V.
        eos: The id of `<eos>`.
        order: Length of the longest n-grams.
        discounts: 3, or 1 for a single discount. A level with too few counts for 3 has 1.
    """

    def __init__(self, tokens: np.ndarray, vocabulary_size: int, eos: int, order: int = ORDER, discounts: int = 3):
        self._size, self._eos = vocabulary_size, eos
        text = np.concatenate([[eos], tokens]).astype(np.int64)
        reach = self._reach(text)
        before = np.zeros(len(text), np.int64)  # id of the context of each place
        levels = []
        for n in range(1, order + 1):
            places = np.flatnonzero(reach >= n)
            keys, first, ids, counts = np.unique(
                before[places] * vocabulary_size + text[places],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            of_place = np.full(len(text), -1)
            of_place[places] = ids
            if n == 1:
                of_place[0] = np.searchsorted(keys, eos)
            levels.append((keys, of_place, places[first], counts))
            before = np.concatenate([[-1], of_place[:-1]])
        self._levels = []
        for n, (keys, _, first, counts) in enumerate(levels, start=1):
            if n < order:  # count the different words before it; a line's beginning has none
                longer, of_place = levels[n][2], levels[n - 1][1]
                different = np.bincount(of_place[longer], minlength=len(keys))
                counts = np.where(reach[first] == n, counts, different)
            taken = discount(counts, discounts)
            contexts = 1 if n == 1 else len(levels[n - 2][0])
            totals, held_back = (np.bincount(keys // vocabulary_size, w, contexts) for w in (counts, taken))
            self._levels.append(Level(keys, counts - taken, totals, held_back))

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Returns the probability of each token after those before it in its line, float64 [n].

        Args:
            tokens: A text, int [n]; each line ends with `eos`.
        """
        text = np.concatenate([[self._eos], tokens]).astype(np.int64)
        reach = self._reach(text)
        found = np.full(len(text), 1.0 / self._size)
        context = np.zeros(len(text), np.int64)  # -1 if the context is not in the training text
        for n, level in enumerate(self._levels, start=1):
            context[reach < n] = -1
            keys = context * self._size + text
            place = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
            seen = (context >= 0) & (level.keys[place] == keys)
            known = (context >= 0) & (level.totals[context] > 0)
            numerator = np.where(seen, level.discounted[place], 0.0) + level.held_back[context] * found
            found = np.where(known, numerator / np.where(known, level.totals[context], 1.0), found)
            gram = np.where(seen, place, -1)
            if n == 1:
                gram[0] = np.searchsorted(level.keys, self._eos)
            context = np.concatenate([[-1], gram[:-1]])
        return found[1:]

    def perplexity(self, tokens: np.ndarray) -> float:
        """Returns exp(total cross-entropy / tokens).

        Args:
            tokens: A text, int [n]; each line ends with `eos`.
        """
        return math.exp(-np.log(self.probabilities(tokens)).mean())

    def _reach(self, text: np.ndarray) -> np.ndarray:
        """Returns the length of the longest n-gram that ends at each place within its line; 0 at place 0."""
        place = np.arange(len(text))
        last = np.maximum.accumulate(np.where(text == self._eos, place, 0))
        return np.concatenate([[0], place[1:] - last[:-1] + 1])


def discount(counts: np.ndarray, kinds: int) -> np.ndarray:
    """Returns the discount of each count (Chen & Goodman 1999, eq. 26), from how many counts are 1, 2, 3 and 4.

    Args:
        counts: int [n-grams].
        kinds: 3, or 1 for a single discount.
    """
    ones, twos, threes, fours = (int((counts == k).sum()) for k in (1, 2, 3, 4))
    base = ones / (ones + 2 * twos) if ones else 0.0
    if kinds == 1 or not all((ones, twos, threes, fours)):
        return np.where(counts > 0, base, 0.0)
    ratios = (twos / ones, threes / twos, fours / threes)
    of_count = [0.0] + [max(0.0, k - (k + 1) * base * ratio) for k, ratio in enumerate(ratios, start=1)]
    return np.array(of_count)[np.minimum(counts, 3)]


def read(file: Path) -> list[str]:
    """Reads a file's words, with `<eos>` after each line; blank lines are dropped.

    Args:
        file: A text file.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    return [word for line in lines if line.strip() for word in [*line.split(), EOS]]


def measure(data_dir: Path, discounts: int) -> dict[str, float]:
    """Measures the model of `ptb.train.txt` on the other two files.

    Args:
        data_dir: Folder of the Penn Treebank's files.
        discounts: 3, or 1 for a single discount.

    Returns:
        `valid_perplexity` and `test_perplexity`.

    Raises:
        ComponentError: If the files have a word that the training text lacks, and it has no `<unk>` either.
    """
    files = corpora.local_files("penn_treebank", data_dir)
    texts = {split: read(files[name]) for split, name in (("train", "train"), ("valid", "eval"), ("test", "test"))}
    ids = {word: place for place, word in enumerate(dict.fromkeys(texts["train"]))}
    unknown = sorted({word for text in texts.values() for word in text} - ids.keys())
    if unknown and UNK not in ids:
        raise ComponentError(f"{data_dir}: ptb.train.txt has neither {unknown[0]!r} nor {UNK}.")
    train, valid, test = (np.array([ids.get(w, ids.get(UNK)) for w in text], np.int64) for text in texts.values())
    model = KneserNey(train, len(ids), ids[EOS], discounts=discounts)
    return {"valid_perplexity": model.perplexity(valid), "test_perplexity": model.perplexity(test)}


def main(arguments: list[str] | None = None) -> int:
    """Measures the model, records it as `kneser_ney_5` and prints the record.

    Args:
        arguments: The words of the command line; by default those of this process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.kneser_ney", description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", metavar="FOLDER", type=Path, required=True, help="folder of ptb.train.txt")
    parser.add_argument("--discounts", type=int, choices=(1, 3), default=3, help="kinds of counts (default 3)")
    parser.add_argument("--table", metavar="FOLDER", type=Path, default=rows.TABLE, help="default experiments/ptb")
    parsed = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        values = {"dataset": "penn_treebank", "data_dir": parsed.data_dir}
        corpus = rows.corpus(config.load(None, [f"example_gen.{key}={value}" for key, value in values.items()]))
        records = Records(parsed.table)
        records.check_corpus(corpus)
        figures = measure(parsed.data_dir, parsed.discounts)
        run = {
            "name": f"kneser_ney_{ORDER}" + ("_one_discount" if parsed.discounts == 1 else ""),
            "seed": 0,
            "commit": rows.commit(Path(__file__)),
            "machine": rows.machine(),
            "status": "finished",
            "hours": round((time.monotonic() - started) / 3600, 4),
            "epochs": [],
            **{name: round(value, 4) for name, value in figures.items()},
            "adaptive": {},
            "corpus": corpus,
        }
        records.save(run)
    except (ComponentError, RecordsError, config.ConfigurationError) as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    print(json.dumps(run))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
