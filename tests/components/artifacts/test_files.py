"""The artifacts' files that are no JSON."""

import math

import pytest

from components.artifacts import blessing, frequent_words, statistics, trials, vocabulary
from components.artifacts.document import finite
from components.base import ComponentError
from models.settings import TokenizerSettings


@pytest.mark.parametrize("infra", [False, True])
def test_a_blessing_is_one_file(infra, tmp_path):
    yes, no = tmp_path / "yes", tmp_path / "no"
    for folder, blessed in ((yes, True), (no, False)):
        folder.mkdir()
        blessing.write(folder, blessed, ["first", "second"], infra)
    assert blessing.is_blessed(yes) and not blessing.is_blessed(no)
    assert [*blessing.refusals(yes)] == [] and [*blessing.refusals(no)] == ["first\nsecond"]
    prefix = "INFRA_" if infra else ""
    assert [path.name for path in (*yes.iterdir(), *no.iterdir())] == [f"{prefix}BLESSED", f"{prefix}NOT_BLESSED"]
    assert not blessing.is_blessed(tmp_path / "nowhere")


def test_words_of_any_bytes_keep_their_counts(tmp_path):
    counts = {b"<unk>": 0, b"<eos>": 9, "é".encode(): 4, b"\xff\x0b": 3, b"a\tb": 0}
    vocabulary.write_words(tmp_path, counts)
    assert vocabulary.read_counts(tmp_path) == list(counts.items())
    assert (tmp_path / "vocabulary.txt").read_bytes() == b"".join(word + b"\n" for word in counts)
    (tmp_path / "counts.tsv").write_bytes(b"word\tmany\n")
    with pytest.raises(ComponentError, match=r"counts.tsv cannot be read .*Run VocabularyGen again"):
        vocabulary.read_counts(tmp_path)


def test_frequent_words_of_any_bytes_are_read_as_written(tmp_path):
    counts = {b"a\tb": 2, b"\xff\x0b": 5, b"word": 2}
    frequent_words.write(tmp_path / "words.tsv", counts)
    assert list(frequent_words.read(tmp_path / "words.tsv").items()) == [(b"\xff\x0b", 5), (b"a\tb", 2), (b"word", 2)]


def test_the_best_hyperparameters_are_read_without_the_searchs_own(tmp_path):
    trials.write_best(tmp_path, {"space": [], "values": {"units": 8, "gamma": 0.5, "tuner/epochs": 3}})
    assert trials.read_best(tmp_path / trials.BEST_FILE) == {"units": 8, "gamma": 0.5}
    (tmp_path / trials.BEST_FILE).write_text("[]")
    with pytest.raises(ValueError, match="TypeError"):
        trials.read_best(tmp_path / trials.BEST_FILE)


def test_artifacts_name_the_tokenizers_settings_as_the_configuration_does():
    assert list(statistics.TokenizerOptions.__annotations__) == list(TokenizerSettings.model_fields)


def test_numbers_that_json_cannot_hold_are_none():
    assert finite({"a": [1.5, math.nan, (math.inf, 2)], "b": {"c": -math.inf}}) == {"a": [1.5, None, [None, 2]],
                                                                                     "b": {"c": None}}  # fmt: skip
