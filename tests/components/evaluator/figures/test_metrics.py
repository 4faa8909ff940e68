"""The Evaluator's sums, slices and intervals against independent computation."""

import math

import numpy as np
import pytest

from components.evaluator.figures import bootstrap, comparison, metrics, samples, slices
from models.text.unigram import count_tokens, unigram_perplexity

UNK, EOS = 0, 1


def _random_stream(generator, size, vocabulary_size=50):
    stream = generator.integers(0, vocabulary_size, size).astype(np.int32)
    stream[generator.random(size) < 0.15] = EOS
    stream[-1] = EOS
    return stream


def _tally(stream, nats, window, train_counts=None, rank=None, top=None, documents=None):
    lines = slices.LineIndex(stream)
    counts = np.bincount(stream, minlength=50) if train_counts is None else train_counts
    tally = metrics.Tally(slices.Slicer(lines, counts, documents), len(lines))
    rank = np.zeros(len(stream), np.int32) if rank is None else rank
    top = np.full(len(stream), 0.5, np.float32) if top is None else top
    for start in range(0, len(stream), window):
        part = slice(start, start + window)
        tally.add(start, stream[part], -nats[part], rank[part], top[part])
    return tally


def test_figures_do_not_depend_on_the_window():
    generator = np.random.default_rng(1)
    stream, nats = _random_stream(generator, 1003), generator.gamma(3, 1, 1003)
    rank, top = generator.integers(0, 20, 1003), generator.random(1003)
    one, many = (_tally(stream, nats, window, rank=rank, top=top) for window in (1003, 7))
    np.testing.assert_allclose(one.line_cross_entropy, many.line_cross_entropy, rtol=1e-12)
    assert one.figures(5000)["slices"].keys() == many.figures(5000)["slices"].keys()
    assert one.figures(5000)["perplexity"] == pytest.approx(math.exp(nats.mean()), rel=1e-12)
    assert one.figures(5000)["perplexity"] == pytest.approx(many.figures(5000)["perplexity"], rel=1e-12)


def test_every_dimension_of_slices_holds_every_token_once():
    generator = np.random.default_rng(2)
    stream, nats = _random_stream(generator, 800), generator.gamma(3, 1, 800)
    documents = (["a", "b", "a"], np.array([100, 500, 800]))
    figures = _tally(stream, nats, 90, documents=documents).figures(1)
    assert set(figures["slices"]) == {*slices.BUCKETS, "document"}
    for buckets in figures["slices"].values():
        assert sum(bucket["num_tokens"] for bucket in buckets.values()) == 800
        total = sum(bucket["num_tokens"] * bucket["cross_entropy"] for bucket in buckets.values())
        assert total == pytest.approx(nats.sum())
    assert figures["slices"]["document"]["a"]["num_tokens"] == 400


def test_slices_of_a_line_are_those_of_its_length_its_places_and_its_unknown_words():
    stream = np.array([5, UNK, EOS, 7, 8, 9, 10, 11, EOS, EOS], np.int32)
    train_counts = np.full(50, 3)
    train_counts[5] = 0
    figures = _tally(stream, np.arange(10.0), 4, train_counts).figures(1)["slices"]
    tokens = {name: {label: b["num_tokens"] for label, b in buckets.items()} for name, buckets in figures.items()}
    assert tokens["line_length"] == {"1": 1, "2-5": 3, "6-10": 6}
    assert tokens["line_position"] == {"1": 3, "2-5": 6, "6-10": 1}
    assert tokens["line_unknown"] == {"with": 3, "without": 7}
    assert tokens["word_frequency"] == {"<unk>": 1, "<eos>": 3, "0": 1, "1-9": 5}
    assert figures["line_unknown"]["with"]["cross_entropy"] == pytest.approx((0 + 1 + 2) / 3)


def test_small_documents_are_counted_together():
    names = [f"d{n}" for n in range(30)]
    ends = np.cumsum(np.arange(1, 31))
    stream = np.full(ends[-1], EOS, np.int32)
    buckets = _tally(stream, np.ones(len(stream)), 64, documents=(names, ends)).figures(1)["slices"]["document"]
    assert list(buckets)[0] == "d29" and len(buckets) == slices.MAX_DOCUMENTS + 1
    assert buckets[slices.OTHER_DOCUMENTS]["num_tokens"] == sum(range(1, 11))


def test_a_last_line_without_its_end_is_a_line():
    lines = slices.LineIndex(np.array([3, 4, EOS, 5, UNK], np.int32))
    np.testing.assert_array_equal(lines.lengths, [3, 2])
    np.testing.assert_array_equal(lines.has_unknown, [False, True])


def test_expected_calibration_error_is_zero_when_confidence_is_the_share_right():
    rank = np.array([0, 0, 0, 5] * 25)
    stream = np.full(100, EOS, np.int32)
    calibrated = _tally(stream, np.ones(100), 100, rank=rank, top=np.full(100, 0.75)).figures(1)
    too_sure = _tally(stream, np.ones(100), 100, rank=rank, top=np.full(100, 0.99)).figures(1)
    assert calibrated["expected_calibration_error"] == pytest.approx(0)
    assert too_sure["expected_calibration_error"] == pytest.approx(0.24)
    assert too_sure["calibration"] == [
        {"probability": pytest.approx(0.99), "accuracy": pytest.approx(0.75), "tokens": 100}
    ]
    assert (too_sure["top_1_accuracy"], too_sure["top_5_accuracy"], too_sure["top_10_accuracy"]) == (0.75, 0.75, 1.0)


def test_unigram_model_is_smoothed_only_if_the_split_has_a_word_that_training_lacks():
    train, seen, unseen = np.array([6, 3, 0]), np.array([1, 1, 0]), np.array([1, 0, 1])
    assert unigram_perplexity(train, seen) == pytest.approx(math.exp(-(math.log(6 / 9) + math.log(3 / 9)) / 2))
    smoothed = -(math.log(7 / 12) + math.log(1 / 12)) / 2
    assert unigram_perplexity(train, unseen) == pytest.approx(math.exp(smoothed))


@pytest.mark.parametrize(("split", "expected"), [("valid", 687.0), ("test", 639.3)])
def test_unigram_perplexity_of_the_penn_treebank(ptb_dir, split, expected):
    def tokens(name):
        return (ptb_dir / f"ptb.{name}.txt").read_text().replace("\n", " <eos> ").split()

    ids = {word: number for number, word in enumerate(sorted(set(tokens("train"))))}
    train, other = (np.array([ids[word] for word in tokens(name)]) for name in ("train", split))
    counts = [count_tokens(stream, len(ids)) for stream in (train, other)]
    assert counts[0].sum() == 929_589 and len(ids) == 10_000
    assert unigram_perplexity(*counts) == pytest.approx(expected, abs=0.05)


def test_bootstrap_interval_covers_what_the_central_limit_theorem_says():
    generator = np.random.default_rng(3)
    differences = generator.normal(0.02, 1, 4000)
    low, high = bootstrap.interval(differences, np.ones(4000))
    error = differences.std() / math.sqrt(4000)
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.15 * error)


def test_many_lines_are_drawn_in_runs_with_the_same_interval(monkeypatch):
    differences = np.random.default_rng(4).normal(0, 1, 20_000)
    one_by_one = np.array(bootstrap.interval(differences[:10_000], np.ones(10_000)))
    monkeypatch.setattr(bootstrap, "MAX_GROUPS", 1000)
    in_runs = np.array(bootstrap.interval(differences[:10_000], np.ones(10_000)))
    np.testing.assert_allclose(one_by_one, in_runs, atol=0.003)


def test_equal_models_are_the_same_and_not_undecided():
    nats, lengths = np.array([3.0, 5.0, 4.0]), np.array([2, 3, 2])
    same = comparison.by_perplexity(nats, nats, lengths)
    assert (same.judgement, same.change, same.low, same.high) == ("the same", 0.0, 0.0, 0.0)


def test_a_single_line_has_no_interval():
    ours, theirs, length = np.array([5.0]), np.array([4.0]), np.array([9])
    for found in (comparison.by_perplexity(ours, theirs, length), comparison.by_characters(ours, theirs, 30)):
        assert (found.low, found.high, found.judgement) == (None, None, "undecided") and found.change > 0


def test_word_vectors_of_one_number_have_no_map():
    assert samples.embedding(np.ones([9, 1], np.float32), ["<unk>", "<eos>", *"abcdefg"])["map"] == []


def test_comparison_says_better_worse_or_undecided():
    generator = np.random.default_rng(5)
    lengths = generator.integers(5, 30, 500)
    baseline = lengths * 5.0
    noise = generator.normal(0, 1, 500)
    judgements = {
        shift: comparison.by_perplexity(baseline + lengths * shift + noise, baseline, lengths).judgement
        for shift in (-0.1, 0.0, 0.1)
    }
    assert judgements == {-0.1: "better", 0.0: "undecided", 0.1: "worse"}
    change = comparison.by_perplexity(baseline + lengths * 0.1, baseline, lengths).change
    assert change == pytest.approx(math.exp(0.1) - 1)


def test_a_model_that_knows_fewer_words_pays_for_spelling_them():
    """Two models that both find every word of `ab cde` as probable; one of them has no `cde`."""
    knows_all = comparison.with_spelling(np.array([2.0]), np.array([0]), np.array([0, 0, 1, 1]),
                                         [b"<unk>", b"<eos>", b"ab", b"cde"], 5, math.log(26))  # fmt: skip
    knows_one = comparison.with_spelling(np.array([2.0]), np.array([1]), np.array([1, 0, 1]),
                                         [b"<unk>", b"<eos>", b"ab"], 5, math.log(26))  # fmt: skip
    assert knows_all == pytest.approx([2.0])
    assert knows_one == pytest.approx([2.0 + 3 * math.log(26)])
    compared = comparison.by_characters(knows_one, knows_all, characters=7)
    assert compared.metric == "bits_per_character" and compared.change > 0
    assert compared.baseline == pytest.approx(2.0 / math.log(2) / 7)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("line_lenght:2-5", "line_length:2-5"), ("line_length:2-6", "line_length:2-5"), ("document", "document:NAME")],
)
def test_an_unknown_slice_names_the_nearest(name, nearest):
    with pytest.raises(ValueError, match=nearest):
        slices.check_slice(name)
