"""The count model against the definition, computed n-gram by n-gram with dictionaries."""

import json
import math
import random
from collections import Counter, defaultdict

import numpy as np
import pytest

from experiments import kneser_ney
from experiments.kneser_ney import KneserNey
from experiments.records import Records
from pipeline.exit_codes import USAGE_ERROR
from tests.experiments.tiny_table import write_corpus

EOS, WORDS = 0, 60


def text(lines, seed):
    generator = random.Random(seed)
    words, weights = range(1, WORDS - 1), [1 / word for word in range(1, WORDS - 1)]
    rows = [generator.choices(words, weights, k=generator.randrange(1, 9)) for _ in range(lines)]
    return [[*row, EOS] for row in rows]


class Direct:
    """Chen & Goodman's definition, read literally: a dictionary for each order, a recursion for each probability."""

    def __init__(self, lines, order, kinds):
        self.order = order
        occurrences = [Counter() for _ in range(order + 1)]
        for line in lines:
            padded = ["start", *line]
            for end in range(1, len(padded)):
                for n in range(1, min(order, end + 1) + 1):
                    occurrences[n][tuple(padded[end - n + 1 : end + 1])] += 1
        self.counts = [None] * (order + 1)
        self.counts[order] = dict(occurrences[order])
        for n in range(1, order):
            before = defaultdict(set)
            for gram in occurrences[n + 1]:
                before[gram[1:]].add(gram[0])
            self.counts[n] = {
                gram: times if gram[0] == "start" else len(before[gram]) for gram, times in occurrences[n].items()
            }
        self.discounts = [None] + [self.discount(counts, kinds) for counts in self.counts[1:]]

    @staticmethod
    def discount(counts, kinds):
        n = Counter(counts.values())
        y = n[1] / (n[1] + 2 * n[2])
        if kinds == 1 or not (n[1] and n[2] and n[3] and n[4]):
            return {1: y, 2: y, 3: y}
        return {k: max(0, k - (k + 1) * y * n[k + 1] / n[k]) for k in (1, 2, 3)}

    def probability(self, word, context):
        """Returns a word's probability after `context`, a tuple of at most order - 1 words."""
        if len(context) == 0:
            lower = 1 / WORDS
        else:
            lower = self.probability(word, context[1:])
        level = len(context) + 1
        after = {gram[-1]: c for gram, c in self.counts[level].items() if gram[:-1] == context}
        if not after:
            return lower
        total, taken = sum(after.values()), self.discounts[level]
        own = after.get(word, 0)
        kept = own - taken[min(own, 3)] if own else 0.0
        return (kept + sum(taken[min(c, 3)] for c in after.values()) * lower) / total

    def of_lines(self, lines):
        found = []
        for line in lines:
            padded = ["start", *line]
            for end in range(1, len(padded)):
                found.append(self.probability(padded[end], tuple(padded[max(0, end - self.order + 1) : end])))
        return found


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("discounts", [1, 3])
def test_probabilities_are_those_of_the_definition(order, discounts):
    train, test = text(90, 1), [*text(30, 2), [WORDS - 1, 1, EOS]]  # with a word that is not in the training text
    model = KneserNey(np.concatenate(train), WORDS, EOS, order, discounts)
    expected = Direct(train, order, discounts).of_lines(test)
    np.testing.assert_allclose(model.probabilities(np.concatenate(test)), expected, rtol=1e-12)
    np.testing.assert_allclose(model.perplexity(np.concatenate(test)), math.exp(-np.mean(np.log(expected))), rtol=1e-12)


@pytest.mark.parametrize("line", [[], [1], [1, 2], [1, 2, 3, 1], [WORDS - 1, 2], [4, 4, 4, 4, 4]], ids=str)
def test_probabilities_of_all_words_add_up_to_one(line):
    model = KneserNey(np.concatenate(text(90, 1)), WORDS, EOS)
    found = [model.probabilities(np.array([*line, word]))[-1] for word in range(WORDS)]
    assert min(found) > 0 and sum(found) == pytest.approx(1.0, abs=1e-12)


def test_the_command_records_what_it_measured(tmp_path, capsys):
    data, table = write_corpus(tmp_path / "data"), tmp_path / "table"
    table.mkdir()
    assert kneser_ney.main(["--data-dir", str(data), "--table", str(table)]) == 0
    found = Records(table).find("kneser_ney_5", 0)
    assert json.loads(capsys.readouterr().out) == found and 1 < found["test_perplexity"] < 10
    assert kneser_ney.main(["--data-dir", str(tmp_path), "--table", str(table)]) == 0, (
        "files below the folder are found"
    )
    other = write_corpus(tmp_path / "other", seed=5)
    assert kneser_ney.main(["--data-dir", str(other), "--table", str(table)]) == USAGE_ERROR
    assert "was measured on another penn_treebank" in capsys.readouterr().err
    assert kneser_ney.main(["--data-dir", str(tmp_path), "--table", str(table)]) == USAGE_ERROR
    assert "ptb.train.txt" in capsys.readouterr().err


def test_the_penn_treebank_gives_the_published_figure(ptb_dir):
    found = kneser_ney.measure(ptb_dir, discounts=3)
    assert found["test_perplexity"] == pytest.approx(141.2, rel=0.01)  # Mikolov's KN5
