"""What is derived from the settings: the commented configuration, the table of keys, the arguments of the model."""

import inspect

import pytest
import yaml

from models.language_model import LanguageModel
from models.settings import Recipe
from pipeline.config import documents, resolve
from pipeline.config.settings import SECTIONS


@pytest.mark.parametrize("name", documents.FILES)
def test_the_committed_file_is_what_the_settings_say(name):
    written = (documents.REPOSITORY / name).read_text(encoding="utf-8")
    assert written == documents.FILES[name](), "run python -m pipeline.config.documents"


def test_the_commented_configuration_has_every_key_once():
    content = yaml.safe_load(documents.yaml_text())
    keys = {f"{section}.{key}": value for section, keys in content.items() for key, value in keys.items()}
    assert keys.keys() == resolve.BUILT_IN.keys()
    for key, value in keys.items():
        assert value is None or value == resolve.BUILT_IN[key], key


def test_every_setting_says_what_it_means():
    for section in SECTIONS.values():
        for name, field in section.model_fields.items():
            assert field.description and field.description.endswith("."), name


def test_the_models_defaults_are_the_settings_defaults():
    # As a Keras layer the model needs `units`, drops nothing unless asked, and takes the policy of `dtype`; what the
    # augmented loss needs is filled in where the loss is on.
    filled = LanguageModel(5, units=2)
    assert filled.embedding_units == 2 and Recipe().embedding_units is None
    for name, parameter in inspect.signature(LanguageModel).parameters.items():
        if name in Recipe.model_fields and name not in ("units", "embedding_units", "dropout", "precision"):
            default = Recipe.model_fields[name].default
            assert (getattr(filled, name) if parameter.default is None else parameter.default) == default, name
