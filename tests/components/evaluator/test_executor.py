"""The Evaluator on exported models: what it measures, what it refuses, what it writes."""

import math
import shutil

import numpy as np
import pytest
import tensorflow as tf

from components.artifacts.evaluation import EMBEDDING, PREDICTIONS
from components.base import ComponentError
from components.evaluator import exported_model, sharded_reading
from models.language_model import LanguageModel
from models.serving.export import export
from models.text.token_stream import TokenStream, TokenWriter, write_index
from tests.components.evaluator.world import CYCLE, SETTINGS, TEXTS, World, train, write_vocabulary


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def _push(world, name, serving, version):
    shutil.copytree(world.root / name / "Format-Serving", serving / str(version))


@pytest.mark.parametrize("window", [7, 1000])
def test_every_token_is_predicted_once_and_the_first_from_eos(world, tmp_path, monkeypatch, window):
    monkeypatch.setattr(exported_model, "WINDOW", window)
    figures, evaluation, _, _ = world.evaluate("good", tmp_path)
    for split, key in (("eval", "valid_perplexity"), ("test", "test_perplexity")):
        measured = evaluation["splits"][split]
        targets = world.targets(split)
        of_target = world.log_probabilities["good"][split][np.arange(len(targets)), targets]
        assert measured["num_tokens"] == len(targets) == len((TEXTS[split].replace("\n", " <eos> ")).split())
        assert measured["perplexity"] == pytest.approx(math.exp(-of_target.mean()), rel=1e-5)
        assert figures[key] == measured["perplexity"]
        assert measured["bits_per_word"] == pytest.approx(-of_target.mean() / math.log(2), rel=1e-5)
        assert measured["num_characters"] == len(TEXTS[split])
        bits = -of_target.sum() / math.log(2)
        assert measured["bits_per_character"] == pytest.approx(bits / len(TEXTS[split]), rel=1e-5)


def test_accuracy_and_calibration_are_those_of_the_whole_distribution(world, tmp_path):
    _, evaluation, _, _ = world.evaluate("weak", tmp_path)
    log_probabilities, targets = world.log_probabilities["weak"]["eval"], world.targets("eval")
    measured = evaluation["splits"]["eval"]
    rank = (log_probabilities > log_probabilities[np.arange(len(targets)), targets][:, None]).sum(axis=1)
    for k in (1, 5, 10):
        assert measured[f"top_{k}_accuracy"] == pytest.approx((rank < k).mean(), abs=0.003)
    confidence = np.exp(log_probabilities.max(axis=1))
    bins = np.minimum((confidence * 20).astype(int), 19)
    error = sum(abs(((rank == 0) - confidence)[bins == b].sum()) for b in range(20)) / len(targets)
    assert measured["expected_calibration_error"] == pytest.approx(error, abs=0.003)
    assert set(measured["slices"]["document"]) == {"part 0", "part 1"}


def test_unigram_model_is_fitted_on_the_training_tokens(world, tmp_path):
    _, evaluation, _, _ = world.evaluate("good", tmp_path)
    train, test = (TEXTS[split].replace("\n", " <eos> ").split() for split in ("train", "test"))
    nats = [-math.log(train.count(word) / len(train)) for word in test]
    assert evaluation["splits"]["test"]["unigram_perplexity"] == pytest.approx(math.exp(sum(nats) / len(nats)))


def test_a_trained_model_is_blessed_and_an_untrained_one_is_not(world, tmp_path):
    figures, evaluation, file, _ = world.evaluate("good", tmp_path)
    assert file == "BLESSED" and figures["blessed"] and evaluation["baseline"] is None
    figures, _, file, text = world.evaluate("untrained", tmp_path)
    assert file == "NOT_BLESSED" and not figures["blessed"]
    assert text.startswith("refused: unigram:")


def test_a_worse_model_is_refused_against_the_pushed_one_and_a_better_one_blessed(world, tmp_path):
    _push(world, "good", tmp_path / "serving", 1)
    figures, evaluation, file, text = world.evaluate("weak", tmp_path, serving_dir=tmp_path / "serving")
    assert file == "NOT_BLESSED" and "The pushed version 1 has" in text
    assert evaluation["baseline"]["judgement"] == "worse" and figures["against_baseline"].startswith("worse")
    shutil.rmtree(tmp_path / "serving")
    _push(world, "weak", tmp_path / "serving", 1)
    _, evaluation, file, _ = world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving")
    assert file == "BLESSED" and evaluation["baseline"]["judgement"] == "better"
    change = evaluation["splits"]["eval"]["perplexity"] / evaluation["baseline"]["baseline"] - 1
    assert evaluation["baseline"]["change"] == pytest.approx(change)


def test_the_candidate_is_not_its_own_baseline(world, tmp_path):
    _push(world, "good", tmp_path / "serving", 1)
    _, evaluation, file, _ = world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving")
    assert file == "BLESSED" and evaluation["baseline"] is None


def test_rules_on_slices_are_judged_against_the_baselines_slices(world, tmp_path):
    _push(world, "weak", tmp_path / "serving", 4)
    rules = [
        {"metric": "perplexity", "split": "test", "slice": "line_unknown:without", "max_change": 0.0},
        {"metric": "top_1_accuracy", "slice": "document:part 0", "min": 0.99},
    ]
    _, evaluation, file, _ = world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving", rules=rules)
    assert [rule["verdict"] for rule in evaluation["rules"]][-2:] == ["passed", "refused"]
    assert file == "NOT_BLESSED"


def test_an_export_with_a_shuffled_vocabulary_is_refused(world, tmp_path):
    tokenizer = write_vocabulary(tmp_path / "shuffled", ["<unk>", "<eos>", *reversed(CYCLE)])
    export(world.model, tokenizer, world.root / "shuffled" / "Format-Serving", {})
    _, evaluation, file, text = world.evaluate("shuffled", tmp_path)
    assert file == "NOT_BLESSED" and text.startswith("refused: tokenizer:")
    assert evaluation["splits"]["eval"]["perplexity"] < evaluation["splits"]["eval"]["unigram_perplexity"]


def test_a_baseline_with_another_vocabulary_is_compared_by_bits_per_character(world, tmp_path):
    """The pushed model knows only two words, so that `<unk>` is easy to predict. It must not win because of that."""
    tokenizer = write_vocabulary(tmp_path / "small", ["<unk>", "<eos>", "alpha"])
    model = LanguageModel(3, units=16, augmented=False, init_scale=0.3)
    ids = tokenizer.encode(tf.constant([TEXTS["train"]])).values.numpy().astype(np.int32)
    train(model, ids, 60)
    export(model, tokenizer, tmp_path / "serving" / "1", {})
    _, evaluation, file, text = world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving")
    assert evaluation["baseline"]["metric"] == "bits_per_character"
    assert evaluation["baseline"]["judgement"] == "better" and evaluation["baseline"]["splits"] == {}
    assert file == "BLESSED" and "another vocabulary" in text and "bits per character" in text
    rule = {"metric": "perplexity", "max_change": 0.1, "without_baseline": "refuse"}
    _, _, file, text = world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving", rules=[rule])
    assert file == "NOT_BLESSED" and "another vocabulary" in text


def test_a_worse_candidate_with_another_tokenizer_than_the_baseline_is_refused(world, tmp_path):
    words = ["<unk>", "<eos>", *CYCLE]
    settings = {**SETTINGS, "lowercase": True, "keep_blank_lines": True}
    tokenizer = write_vocabulary(tmp_path / "other", [*words, "extra"], settings)
    model = LanguageModel(13, units=16, augmented=False, init_scale=0.3)
    train(model, tokenizer.encode(tf.constant([TEXTS["train"]])).values.numpy().astype(np.int32), 250)
    export(model, tokenizer, tmp_path / "serving" / "1", {})
    _, evaluation, file, text = world.evaluate("weak", tmp_path, serving_dir=tmp_path / "serving")
    assert evaluation["baseline"]["judgement"] == "worse"
    assert file == "NOT_BLESSED" and "another vocabulary or tokenizer" in text


def _write_small_baseline(world, folder):
    """The pushed model knows only two words."""
    tokenizer = write_vocabulary(folder / "small", ["<unk>", "<eos>", "alpha"])
    export(LanguageModel(3, units=16, augmented=False), tokenizer, folder / "serving" / "1", {})


@pytest.mark.parametrize("baseline", ["weak", "other vocabulary"])
def test_figures_are_those_of_one_process_if_beam_workers_share_the_splits(world, tmp_path, monkeypatch, baseline):
    if baseline == "weak":
        _push(world, "weak", tmp_path / "serving", 1)
    else:
        _write_small_baseline(world, tmp_path)
    monkeypatch.setattr(exported_model, "WINDOW", 7)
    rules = [{"metric": "top_1_accuracy", "split": "test", "slice": "document:part 0", "max_change": 0.5}]
    options = {"serving_dir": tmp_path / "serving", "rules": rules}
    _, one_process, *blessing = world.evaluate("good", tmp_path, beam_args=["--runner=NoSuchRunner"], **options)
    tokens_of_a_shard = 7 * 20
    monkeypatch.setattr(sharded_reading, "SHARD_PROBABILITIES", 12 * tokens_of_a_shard)
    assert min(len(world.targets(split)) for split in ("eval", "test")) > 3 * tokens_of_a_shard
    with pytest.raises(ComponentError, match="NoSuchRunner"):  # so the next evaluation is one by Beam's workers
        world.evaluate("good", tmp_path, beam_args=["--runner=NoSuchRunner"], **options)
    _, sharded, *sharded_blessing = world.evaluate("good", tmp_path, **options)
    for (place, value), (_, expected) in zip(_leaves(sharded), _leaves(one_process), strict=True):
        assert value == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected), place
    assert sharded["baseline"]["low"] != sharded["baseline"]["high"] and sharded_blessing == blessing


def _leaves(value, path=""):
    """Nested JSON as (path, leaf) pairs."""
    if not isinstance(value, dict | list):
        return [(path, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for name, item in items for leaf in _leaves(item, f"{path}/{name}")]


def test_workers_in_other_processes_read_each_window_once_and_from_its_own_state(world, tmp_path, monkeypatch):
    """Streams of different lengths: the shorter one ends within the second of four shards."""
    for name, size in (("long", 3500), ("short", 1203)):
        (tmp_path / name).mkdir()
        with TokenWriter(tmp_path / name / "tokens") as writer:
            writer.write(np.resize(world.targets("train"), size))
        write_index(tmp_path / name, [("tokens", writer.counts)])
    streams = [TokenStream(tmp_path / name) for name in ("short", "long")]
    model = exported_model.ExportedModel(world.root / "good" / "Format-Serving")
    expected = list(model.windows(streams))
    monkeypatch.setattr(sharded_reading, "SHARD_PROBABILITIES", 1)
    processes = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    windows = list(sharded_reading.windows(model, streams, processes, tmp_path))
    assert [(row, window.start, len(window.targets)) for row, window in windows] == [
        (0, 0, 1000), (1, 0, 1000), (0, 1000, 203), (1, 1000, 1000), (1, 2000, 1000), (1, 3000, 500)
    ]  # fmt: skip
    for (_, one), (_, other) in zip(expected, windows, strict=True):
        np.testing.assert_array_equal(one.targets, other.targets)
        np.testing.assert_array_equal(one.rank, other.rank)
        np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, rtol=1e-6)
        np.testing.assert_allclose(one.top_probability, other.top_probability, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_distance_of_an_untied_output_kernel_from_the_embeddings_column_space_is_reported(world, tmp_path, dtype):
    model = LanguageModel(12, units=4, augmented=False, tie_embeddings=False, output_bias=True, init_scale=0.3)
    export(model, world.tokenizer, world.root / f"untied {dtype}" / "Format-Serving", {}, dtype)
    figures, evaluation, _, _ = world.evaluate(f"untied {dtype}", tmp_path)
    embedding, kernel = (weight.numpy() for weight in (model.embedding.embeddings, model.output_layer.kernel))
    if dtype == "int8":  # each row in 127 steps of its largest value
        steps = [np.abs(matrix).max(axis=1, keepdims=True) / 127 for matrix in (embedding, kernel)]
        embedding, kernel = np.rint(embedding / steps[0]) * steps[0], np.rint(kernel / steps[1]) * steps[1]
    nearest = embedding @ np.linalg.lstsq(embedding, kernel, rcond=None)[0]
    distance = np.linalg.norm(kernel - nearest) / np.linalg.norm(kernel)
    assert 0.1 < distance < 1
    assert evaluation["subspace_distance"] == figures["subspace_distance"] == pytest.approx(distance, rel=1e-5)


def test_a_tied_model_has_no_output_kernel_of_its_own(world, tmp_path):
    figures, evaluation, _, _ = world.evaluate("good", tmp_path)
    assert evaluation["subspace_distance"] is figures["subspace_distance"] is None


def test_a_baseline_that_cannot_be_loaded_is_an_error_that_names_it(world, tmp_path):
    broken = tmp_path / "serving" / "7"
    broken.mkdir(parents=True)
    (broken / "saved_model.pb").write_text("not a model")
    with pytest.raises(ComponentError, match=r"serving/7"):
        world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving")


def test_samples_show_both_models_and_the_embedding(world, tmp_path):
    _push(world, "weak", tmp_path / "serving", 1)
    world.evaluate("good", tmp_path, serving_dir=tmp_path / "serving")
    phrases = PREDICTIONS.read(tmp_path / "evaluation")["phrases"]
    assert {"text", "candidate", "baseline"} == set(phrases[0]) and len(phrases) >= 8
    assert len(phrases[0]["candidate"]) == 10
    embedding = EMBEDDING.read(tmp_path / "evaluation")
    assert {place["word"] for place in embedding["map"]} == set(CYCLE)
    table = world.model.embedding.embeddings.numpy()
    first = embedding["neighbours"][0]
    word_id = 2 + CYCLE.index(first["word"])
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit[word_id]
    nearest = max((i for i in range(2, 12) if i != word_id), key=lambda i: cosines[i])
    assert first["neighbours"][0]["word"] == CYCLE[nearest - 2]
