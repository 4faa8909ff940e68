"""The Hub's files: a model comes back from each of them as it was, whatever its output layer."""

import json

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from models.language_model import LanguageModel
from models.serving import hub_export
from models.text.tokenizer import Tokenizer
from tests.models.serving.numpy_reader import read_with_numpy

WORDS = ["<unk>", "<eos>", *(f"w{i}" for i in range(28))]
IDS = [3, 7, 29, 1, 0, 12, 12, 4]


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    return Tokenizer("whitespace", True, False, tmp_path / "vocabulary.txt")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tie_embeddings": False},
        {"tie_embeddings": False, "output_bias": True},
        {"num_layers": 1, "dropout": 0.4},
        {"embedding_units": 7, "weight_dropout": 0.2, "activation_regularization": 2.0},
        {"embedding_units": 7, "tie_embeddings": False},
    ],
)
def test_a_model_comes_back_from_every_file(settings, tokenizer, tmp_path):
    model = LanguageModel(len(WORDS), 12, **{"init_scale": 0.8} | settings)
    for weight in model.trainable_variables:  # biases start at zero, which would hide one that is left out
        weight.assign_add(np.random.default_rng(len(weight.shape)).normal(0, 0.1, weight.shape))
    folder = tmp_path / "hub"
    folder.mkdir()
    hub_export.write(model, tokenizer, tmp_path / "vocabulary.txt", folder)

    inputs = np.array([[1, *IDS[:-1]]])
    log_probabilities = np.asarray(keras.ops.log_softmax(model(inputs)))[0, np.arange(len(IDS)), IDS]
    np.testing.assert_allclose(read_with_numpy(load_file(folder / "model.safetensors"), IDS), log_probabilities, 1e-5)

    again = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(again(inputs), model(inputs))
    assert again.get_config() == model.get_config()

    config = json.loads((folder / "config.json").read_text())
    arguments = {key: config[key] for key in config if key not in ("model_type", "architectures", "unk_token_id")}
    arguments.pop("eos_token_id")
    if not config["augmented"]:
        arguments = {key: value for key, value in arguments.items() if value is not None}
    assert LanguageModel(**arguments).count_params() == model.count_params()

    settings = json.loads((folder / "tokenizer_config.json").read_text())
    there = Tokenizer(**settings, vocabulary_file=folder / "vocab.txt")
    assert there.encode(["W3 w5 x\n"]).to_list() == tokenizer.encode(["W3 w5 x\n"]).to_list() == [[5, 7, 0, 1]]
