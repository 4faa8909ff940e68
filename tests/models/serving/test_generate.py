"""The signature `generate`: greedy and sampled continuations, and settings out of range."""

import time

import numpy as np
import pytest
import tensorflow as tf

from models.serving.export import PROMPT_TOKENS
from models.text.tokenizer import EOS_ID, UNK_ID
from tests.models.reference import ReferenceModel
from tests.models.serving.exported import TEXTS, WORDS, export_and_load, generate, make_model, read, token_ids


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, model):
    return export_and_load(tmp_path_factory.mktemp("generate"), model)


def test_greedy_generation_follows_the_most_probable_word(loaded, model):
    prompts = ["", "w1 w2", "w7\n"]
    for prompt, text in zip(prompts, generate(loaded, prompts, temperature=0.0), strict=True):
        ids = token_ids(prompt, open_last_line=True)
        written = []
        while sum(i != EOS_ID for i in written) < 6:
            distributions, _ = read(ReferenceModel(model), ids + written)
            best = np.argsort(-distributions[-1])
            written.append(next(i for i in best if i != UNK_ID))
        assert text == " ".join(WORDS[i] if i != EOS_ID else "\n" for i in written).replace(" \n ", "\n")


def test_the_narrowest_sampling_is_greedy(loaded):
    greedy = generate(loaded, TEXTS, temperature=0.0)
    assert generate(loaded, TEXTS, top_k=1, seed=3) == greedy
    assert generate(loaded, TEXTS, top_p=0.0, seed=3) == greedy
    assert generate(loaded, TEXTS, temperature=1e-30, seed=3) == greedy


def test_a_row_depends_on_its_own_inputs_only(loaded):
    how = dict(temperature=[0.7, 0.0, 1.5, 1.0, 1.0, 1e9, 0.1, 1.0], top_k=[0, 0, 5, 0, 3, 0, 0, 0])
    how |= dict(top_p=[1, 1, 1, 0.5, 0.9, 1, 1, 1], max_words=[3, 8, 5, 0, 0, 9, 2, 4], seed=[5, 5, -7, 1, 2, 3, 4, 5])
    together = generate(loaded, TEXTS, **how)
    alone = [generate(loaded, [text], **{k: v[i] for k, v in how.items()})[0] for i, text in enumerate(TEXTS)]
    assert together == alone
    assert [len(text.split()) for text in together] == [3, 8, 5, 0, 0, 9, 2, 4]


def test_seeds_give_different_texts_and_the_same_seed_the_same(loaded):
    texts = generate(loaded, ["w1"] * 20, seed=range(20))
    assert len(set(texts)) == 20
    assert generate(loaded, ["w1"] * 20, seed=range(20)) == texts


def test_a_longer_continuation_begins_with_the_shorter_one(loaded):
    (short,), (long,) = generate(loaded, ["w1"], max_words=5), generate(loaded, ["w1"], max_words=90)
    assert long.startswith(short)


def test_generate_refuses_settings_that_do_not_match_the_prompts(loaded):
    def one(value, dtype):
        return tf.constant([value], dtype)

    with pytest.raises(tf.errors.InvalidArgumentError, match="one max_words for each prompt"):
        loaded.signatures["generate"](
            prompt=tf.constant(["a", "b"]),
            max_words=one(1, tf.int32),
            temperature=one(1, tf.float32),
            top_k=one(1, tf.int32),
            top_p=one(1, tf.float32),
            seed=one(1, tf.int32),
        )


NOT_A_NUMBER, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("temperature", NOT_A_NUMBER, "temperature must be finite, 0 or more, found"),
        ("temperature", INFINITE, "temperature must be finite, 0 or more, found"),
        ("temperature", -INFINITE, "temperature must be finite, 0 or more, found"),
        ("temperature", -0.5, r"temperature must be finite, 0 or more, found\] \[-0.5\]"),
        ("top_p", NOT_A_NUMBER, "top_p must be from 0 to 1, found"),
        ("top_p", INFINITE, "top_p must be from 0 to 1, found"),
        ("top_p", 1.5, r"top_p must be from 0 to 1, found\] \[1.5\]"),
        ("top_p", -0.5, "top_p must be from 0 to 1, found"),
        ("top_k", -3, r"top_k must be at least 0 \(0 means all words\), found\] \[-3\]"),
        ("max_words", -1, r"max_words must be at least 0, found\] \[-1\]"),
    ],
)
def test_settings_out_of_range_are_refused_by_the_graph_with_what_was_found(loaded, name, value, words):
    good = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_words": 6}[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        generate(loaded, ["w1", "w2", "w3"], **{name: [good, value, good]})


def test_a_long_prompt_is_continued_as_its_last_512_tokens_are(loaded, model):
    words = [f"w{i % 37}" for i in range(3_000)]
    text, end = " ".join(words), " ".join(words[-PROMPT_TOKENS:])
    distributions, _ = read(ReferenceModel(model), token_ids(end, open_last_line=True))
    best = next(i for i in np.argsort(-distributions[-1]) if i not in (UNK_ID, EOS_ID))
    suggested = loaded.signatures["serving_default"](text=tf.constant(["w1", text]))
    assert suggested["words"][1, 0].numpy().decode() == WORDS[best]
    np.testing.assert_allclose(suggested["probabilities"][1, 0], np.exp(distributions[-1][best]), rtol=1e-4)
    assert generate(loaded, [text, "w1"], seed=3) == generate(loaded, [end, "w1"], seed=3)


@pytest.mark.parametrize("text", ["w1 w2 " * 133_000, "w1\n" * 266_000, "x" * 800_000, "w1 " + "\n " * 400_000])
def test_a_prompt_of_800_kilobytes_is_answered_in_two_seconds(loaded, text):
    generate(loaded, ["w1"], max_words=3)
    start = time.perf_counter()
    loaded.signatures["serving_default"](text=tf.constant([text]))
    assert len(generate(loaded, [text], max_words=3)[0].split()) == 3
    assert time.perf_counter() - start < 4  # two requests


def test_words_are_written_even_if_newlines_or_unknown_words_are_most_probable(tmp_path):
    model = make_model(tie_embeddings=False, output_bias=True)
    bias = np.zeros(len(WORDS))
    bias[[UNK_ID, EOS_ID]] = 200.0, 100.0
    model.output_layer.bias.assign(bias)
    loaded = export_and_load(tmp_path, model)
    for temperature in (0.0, 1.0):
        (text,) = generate(loaded, ["w1"], max_words=4, temperature=temperature)
        assert len(text.split()) == 4 and "<unk>" not in text
        assert text.count("\n") == 8 and "\n\n\n" not in text
