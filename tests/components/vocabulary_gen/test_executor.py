"""VocabularyGen: which words and wordpieces have an id, and in which order."""

import random

import numpy as np
import pydantic
import pytest
import tensorflow as tf

from components import base
from components.artifacts import vocabulary
from components.vocabulary_gen.component import VocabularyGen
from models.text.tokenizer import Tokenizer
from tests.components.examples_artifact import write_texts

CONTEXT = base.Context(run_id="test", workspace=None, progress=False)


def vocabulary_of(tmp_path, train, name="vocabulary", chunk_bytes=1 << 18, **parameters):
    """Runs the component on a train text: its figures and the words with their counts."""
    examples = write_texts(
        tmp_path / f"{name} examples", chunk_bytes, train=train, eval=b"only eval\n", test=b"only test\n"
    )
    parameters = VocabularyGen.Parameters(**{"tokenizer": "whitespace", "max_size": 0, "min_count": 1, **parameters})
    component = VocabularyGen(parameters, examples=base.Channel("ExampleGen", "examples", "Examples"))
    (tmp_path / name).mkdir()
    figures = component.execute({"examples": examples}, {"vocabulary": tmp_path / name}, CONTEXT)
    words = (tmp_path / name / "vocabulary.txt").read_bytes().decode().split("\n")[:-1]
    counts = {word.decode(): count for word, count in vocabulary.read_counts(tmp_path / name)}
    assert list(counts) == words
    return figures, counts


def test_words_are_ordered_by_count_then_by_bytes_after_the_reserved_ones(tmp_path):
    figures, counts = vocabulary_of(tmp_path, "b a Z é z\nb a\n".encode())
    assert list(counts.items()) == [("<unk>", 0), ("<eos>", 2), ("a", 2), ("b", 2), ("Z", 1), ("z", 1), ("é", 1)]
    assert figures == {"size": 7, "tokens": 9, "coverage": 1.0}
    assert vocabulary.FIGURES.read(tmp_path / "vocabulary") == figures


def test_unk_in_the_text_is_that_symbol_and_eval_words_are_not_counted(tmp_path):
    _, counts = vocabulary_of(tmp_path, b"<unk> x <unk> <unk>\n")
    assert counts == {"<unk>": 3, "<eos>": 1, "x": 1}


def test_max_size_counts_the_reserved_words_and_coverage_says_what_it_costs(tmp_path):
    figures, counts = vocabulary_of(tmp_path, b"a a a b b c\n", max_size=4)
    assert list(counts) == ["<unk>", "<eos>", "a", "b"]
    assert figures == {"size": 4, "tokens": 7, "coverage": 6 / 7}


def test_min_count_leaves_rare_words_out(tmp_path):
    _, counts = vocabulary_of(tmp_path, b"a a a b b c\n", min_count=2)
    assert list(counts) == ["<unk>", "<eos>", "a", "b"]


def test_the_order_does_not_depend_on_how_the_text_is_sharded(tmp_path):
    words = [f"w{random.Random(i).randrange(50)}" for i in range(2_000)]
    text = "\n".join(" ".join(words[i : i + 10]) for i in range(0, 2_000, 10)).encode()
    whole = vocabulary_of(tmp_path, text, "whole")
    assert vocabulary_of(tmp_path, text, "sharded", chunk_bytes=100) == whole
    assert (tmp_path / "whole" / "vocabulary.txt").read_bytes() == (
        tmp_path / "sharded" / "vocabulary.txt"
    ).read_bytes()


def test_the_written_tokenizer_is_the_configured_one(tmp_path):
    vocabulary_of(tmp_path, b"Don't STOP, now.\n", tokenizer="unicode_words", lowercase=True)
    tokenizer = Tokenizer.load(tmp_path / "vocabulary")
    assert tokenizer.settings() == {"tokenizer": "unicode_words", "lowercase": True, "keep_blank_lines": False}
    (ids,) = tokenizer.encode(tf.constant(["don't stop, now."])).to_list()
    assert 0 not in ids


def test_a_train_split_without_words_is_an_error(tmp_path):
    with pytest.raises(base.ComponentError, match="train split has no words"):
        vocabulary_of(tmp_path, b" \n\n")


def test_a_size_without_room_for_a_word_is_refused():
    with pytest.raises(pydantic.ValidationError, match="expected 3 or more"):
        VocabularyGen.Parameters(tokenizer="whitespace", max_size=2)


def test_wordpieces_are_learned_within_their_size_and_cover_unseen_words(tmp_path):
    stems, endings = ["walk", "talk", "jump", "play", "look"], ["", "s", "ed", "ing", "er"]
    words = [stem + ending for stem in stems for ending in endings if stem + ending != "player"]
    text = " ".join(word for i, word in enumerate(words) for _ in range(10 + i)).encode() + b" <unk>\n"
    figures, counts = vocabulary_of(tmp_path, text, max_size=80, tokenizer="wordpiece")
    assert list(counts)[:2] == ["<unk>", "<eos>"]
    assert len(counts) == figures["size"] <= 80
    ranked = list(counts.items())[2:]
    assert ranked == sorted(ranked, key=lambda pair: (-pair[1], pair[0].encode()))
    tokenizer = Tokenizer.load(tmp_path / "vocabulary")
    (ids,) = tokenizer.encode(tf.constant([text])).to_list()
    assert len(ids) == figures["tokens"] == sum(counts.values())
    assert [ids.count(i) for i in range(len(counts))] == list(counts.values())
    unseen = tokenizer.encode(tf.constant(["player"]))
    assert 0 not in unseen.to_list()[0]
    assert tokenizer.decode(unseen).numpy()[0] == b"player\n"


@pytest.mark.parametrize("min_count", [1, 2])
@pytest.mark.parametrize("letters_a_line", [20, 60, 200])
def test_no_wordpiece_of_an_unsegmented_script_is_unknown(tmp_path, min_count, letters_a_line):
    """Hardly any line is repeated, and most are longer than the learner reads."""
    random = np.random.default_rng(1)
    thai = [chr(code) for code in range(0x0E01, 0x0E2F)]
    lines = ["".join(random.choice(thai, letters_a_line)) for _ in range(50)]
    figures, counts = vocabulary_of(
        tmp_path, "\n".join(lines).encode(), max_size=400, tokenizer="wordpiece", min_count=min_count
    )
    assert figures["coverage"] == 1.0 and counts["<unk>"] == 0
    tokenizer = Tokenizer.load(tmp_path / "vocabulary")
    (ids,) = tokenizer.encode(tf.constant(["".join(thai[::-1]) * 10])).to_list()
    assert 0 not in ids


@pytest.mark.parametrize("max_size", [3, 4, 9])
def test_wordpieces_of_the_smallest_sizes_are_learned(tmp_path, max_size):
    figures, counts = vocabulary_of(tmp_path, b"some words some words\n", max_size=max_size, tokenizer="wordpiece")
    assert figures["size"] == len(counts) <= max_size


def test_ptb_has_ten_thousand_words(tmp_path, ptb_dir):
    text = (ptb_dir / "ptb.train.txt").read_bytes()
    figures, counts = vocabulary_of(tmp_path, text, chunk_bytes=500_000, max_size=10_000)
    assert figures == {"size": 10_000, "tokens": 929_589, "coverage": 1.0}
    assert counts["<eos>"] == text.count(b"\n")
    assert counts["the"] == text.split().count(b"the")
    assert sum(counts.values()) == 929_589
