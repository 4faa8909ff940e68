"""What the Trainer reads besides its inputs is part of its cache key, by contents."""

import numpy as np
import pytest

from components.base import Channel, ComponentError
from components.trainer.component import Trainer


def state(**parameters):
    return Trainer(
        Trainer.Parameters(units=4, dropout=0.0, epochs=1, **parameters),
        transformed_examples=_channel("transformed_examples", "Examples"),
        vocabulary=_channel("vocabulary", "Vocabulary"),
    ).external_state({})


def _channel(key, kind):
    return Channel("Source", key, kind)


@pytest.fixture
def pushed(tmp_path):
    """A folder laid out as a pushed version is."""
    for name in ("variables/variables.index", "variables/variables.data", "assets/vocabulary.txt", "saved_model.pb"):
        path = tmp_path / "3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "3"


def test_without_such_sources_there_is_no_state():
    assert state() == {}


def test_the_contents_of_word_vectors_count(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2 3 4\n")
    before = state(pretrained_embeddings=str(path))
    assert state(pretrained_embeddings=str(path)) == before
    path.write_text("the 1 2 3 5\n")
    assert state(pretrained_embeddings=str(path)) != before


def test_the_word_list_of_an_array_counts(tmp_path):
    np.save(tmp_path / "vectors.npy", np.ones([2, 4]))
    (tmp_path / "vectors.txt").write_text("a\nb\n")
    before = state(pretrained_embeddings=str(tmp_path / "vectors.npy"))
    (tmp_path / "vectors.txt").write_text("b\na\n")
    assert state(pretrained_embeddings=str(tmp_path / "vectors.npy")) != before


@pytest.mark.parametrize("name", ["variables/variables.data", "assets/vocabulary.txt"])
def test_weights_and_vocabulary_of_the_initial_model_count(name, pushed):
    before = state(initial_model=str(pushed))
    assert state(initial_model=str(pushed)) == before
    (pushed / name).write_text("something else")
    assert state(initial_model=str(pushed)) != before


def test_a_source_that_is_missing_is_named_with_its_key(tmp_path):
    with pytest.raises(ComponentError, match="model.pretrained_embeddings: .*glove.txt cannot be read"):
        state(pretrained_embeddings=str(tmp_path / "glove.txt"))
    with pytest.raises(ComponentError, match="trainer.initial_model: .*vocabulary.txt cannot be read"):
        state(initial_model=str(tmp_path))
