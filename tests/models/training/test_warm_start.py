"""Starting from a pushed model: all of its weights, or those of the words that two vocabularies share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.language_model import LanguageModel
from models.serving import export
from models.text.tokenizer import Tokenizer
from models.training.warm_start import warm_start

OLD_WORDS = ["<unk>", "<eos>", "the", "of", "naïve", "zebra"]
NEW_WORDS = ["<unk>", "<eos>", "zebra", "quagga", "the", "okapi", "emu"]
SHARED_NEW, SHARED_OLD = [0, 1, 2, 4], [0, 1, 5, 2]
UNITS = 8
VARIANTS = {
    "tied": {},
    "untied": {"tie_embeddings": False},
    "projected": {"embedding_units": 5, "tie_embeddings": False, "output_bias": True},
    "untied with bias": {"tie_embeddings": False, "output_bias": True, "num_layers": 3},
}


def make_model(words, seed, **options):
    keras.utils.set_random_seed(seed)
    model = LanguageModel(len(words), UNITS, **{"init_scale": 0.5, **options})
    if model.output_bias:
        model.output_layer.bias.assign(np.random.default_rng(seed).normal(size=len(words)))
    return model


def push(folder, model, words=OLD_WORDS):
    """Exports the model as version 1 of a serving folder."""
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n")
    tokenizer = Tokenizer("whitespace", False, False, folder / "vocabulary.txt")
    export.export(model, tokenizer, folder / "serving" / "1", {})
    return folder / "serving" / "1"


@pytest.fixture(scope="module", params=VARIANTS)
def pushed(request, tmp_path_factory):
    """(options, model, path of its export)."""
    options = VARIANTS[request.param]
    model = make_model(OLD_WORDS, seed=1, **options)
    return options, model, push(tmp_path_factory.mktemp("pushed"), model)


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return push(tmp_path_factory.mktemp("tied"), make_model(OLD_WORDS, seed=1))


def test_with_the_same_vocabulary_the_model_is_the_pushed_one(pushed):
    options, old, path = pushed
    model = make_model(OLD_WORDS, seed=2, **options)
    assert warm_start(model, OLD_WORDS, path) == {"shared_words": 6, "share_shared": 1.0}
    for found, expected in zip(model.get_weights(), old.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    ids = tf.constant([[1, 3, 2, 5, 0]])
    np.testing.assert_array_equal(model(ids)[0], old(ids)[0])


def test_with_another_vocabulary_shared_words_and_the_layers_are_taken(pushed):
    options, old, path = pushed
    model = make_model(NEW_WORDS, seed=2, **options)
    before = model.get_weights()
    assert warm_start(model, NEW_WORDS, path) == {"shared_words": 4, "share_shared": round(4 / 7, 4)}
    new_rows = [row for row in range(len(NEW_WORDS)) if row not in SHARED_NEW]
    for found, expected, initial in zip(model.get_weights(), old.get_weights(), before, strict=True):
        if len(found) == len(NEW_WORDS):  # a row a word
            np.testing.assert_array_equal(found[SHARED_NEW], expected[SHARED_OLD])
            np.testing.assert_array_equal(found[new_rows], initial[new_rows])
        else:
            np.testing.assert_array_equal(found, expected)


def test_the_same_words_in_another_order_find_their_rows(pushed):
    options, old, path = pushed
    order = [0, 1, 5, 3, 4, 2]
    model = make_model(OLD_WORDS, seed=2, **options)
    warm_start(model, [OLD_WORDS[i] for i in order], path)
    inputs, permuted = tf.constant([[1, 3, 2, 5, 0]]), tf.constant([[1, 3, 5, 2, 0]])
    np.testing.assert_allclose(model(permuted)[0].numpy(), old(inputs)[0].numpy()[..., order], atol=1e-6)


def test_a_copied_target_embedding_starts_from_the_same_words(tied):
    model = make_model(NEW_WORDS, seed=2, target="average")
    warm_start(model, NEW_WORDS, tied)
    np.testing.assert_array_equal(model.target_table, model.embedding.embeddings)


@pytest.mark.parametrize(
    "options, difference",
    [
        ({"num_layers": 3}, "model.num_layers: found 2, expected 3"),
        ({"tie_embeddings": False}, "model.tie_embeddings: found True, expected False"),
        (
            {"tie_embeddings": False, "output_bias": True},
            "model.tie_embeddings: found True, expected False; model.output_bias: found False, expected True",
        ),
    ],
    ids=str,
)
def test_another_architecture_is_refused(options, difference, tied):
    model = make_model(OLD_WORDS, seed=2, **options)
    before = model.get_weights()
    with pytest.raises(ValueError) as caught:
        warm_start(model, OLD_WORDS, tied)
    assert str(tied) in str(caught.value) and difference in str(caught.value)
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_other_units_are_refused(tied):
    with pytest.raises(ValueError, match="model.units: found 8, expected 9"):
        warm_start(LanguageModel(len(OLD_WORDS), 9), OLD_WORDS, tied)


def test_the_folder_of_versions_is_not_a_version(tied):
    with pytest.raises(ValueError) as caught:
        warm_start(make_model(OLD_WORDS, seed=2), OLD_WORDS, tied.parent)
    assert f"expected a version in it, such as {tied}" in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found no model at .*, expected the folder of a pushed version"):
        warm_start(make_model(OLD_WORDS, seed=2), OLD_WORDS, tmp_path)


def test_another_saved_model_is_refused(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.ones([3, 2]))
    tf.saved_model.save(module, str(tmp_path))
    (tmp_path / "assets").mkdir(exist_ok=True)
    (tmp_path / "assets" / "vocabulary.txt").write_text("<unk>\n<eos>\nthe\n")
    with pytest.raises(ValueError, match="not one that this pipeline exported"):
        warm_start(make_model(OLD_WORDS, seed=2), OLD_WORDS, tmp_path)
