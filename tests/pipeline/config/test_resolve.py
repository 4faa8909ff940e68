"""The configuration: which value wins, and the messages about a wrong one."""

from pathlib import Path

import pytest

from pipeline import config
from pipeline.config import resolve

SHIPPED = Path(__file__).parents[3] / "pipeline_config.yaml"


def load(*assignments: str, file: str | None = None, tmp_path: Path | None = None) -> config.Configuration:
    path = None
    if file is not None:
        path = tmp_path / "my.yaml"
        path.write_text(file)
    return config.load(path, assignments)


def message(*assignments: str, **options) -> str:
    with pytest.raises(config.ConfigurationError) as caught:
        load(*assignments, **options)
    return str(caught.value)


def test_the_shipped_file_changes_nothing():
    assert config.load(SHIPPED).values == config.load().values
    assert config.load(SHIPPED).changed == {}


def test_set_wins_over_the_file_which_wins_over_the_preset(tmp_path):
    file = "model: {preset: medium}\ntrainer: {epochs: 7, decay: 0.5}\n"
    resolved = load("trainer.epochs=3", file=file, tmp_path=tmp_path)
    assert resolved.settings.trainer.epochs == 3
    assert resolved.settings.trainer.decay == 0.5
    assert resolved.settings.model.units == 650
    origins = {key: resolved.origins[key] for key in ("trainer.epochs", "trainer.decay", "model.units", "trainer.seed")}
    assert origins == {
        "trainer.epochs": "--set",
        "trainer.decay": "my.yaml",
        "model.units": "preset medium",
        "trainer.seed": "default",
    }
    assert resolved.changed == {"model.preset": "medium", "trainer.epochs": 3, "trainer.decay": 0.5}


def test_null_takes_back_what_was_set(tmp_path):
    resolved = load("trainer.epochs=null", file="trainer: {epochs: 7}\nmodel:\n", tmp_path=tmp_path)
    assert resolved.settings.trainer.epochs == load().settings.trainer.epochs


@pytest.mark.parametrize(
    ("assignments", "expected"),
    [
        ((), {"vocabulary.tokenizer": "unicode_words", "trainer.epochs": 2, "loss.gamma": 0.65, "model.preset": None}),
        (
            ("example_gen.dataset=penn_treebank",),
            {
                "vocabulary.tokenizer": "whitespace",
                "vocabulary.max_size": 10_000,
                "vocabulary.keep_blank_lines": False,
                "model.preset": "small",
                "model.dropout": 0.3,
            },
        ),
        (
            ("example_gen.dataset=wikitext2",),
            {
                "vocabulary.tokenizer": "whitespace",
                "vocabulary.max_size": 0,
                "vocabulary.keep_blank_lines": True,
                "loss.gamma": 1.0,
                "model.dropout": 0.2,
            },
        ),
        (("example_gen.dataset=wikitext103", "model.preset=large"), {"model.dropout": 0.4, "model.units": 1500}),
        (
            ("example_gen.dataset=penn_treebank", "model.preset=large"),
            {
                "model.dropout": 0.65,
                "model.init_scale": 0.04,
                "trainer.decay": 0.97,
                "trainer.decay_start_epoch": 1,
                "trainer.clip_norm": 6.0,
            },
        ),
        (("model.preset=small",), {"trainer.epochs": 40, "model.dropout": 0.3, "vocabulary.max_size": 8_000}),
        (("model.preset=small", "trainer.epochs=3"), {"trainer.epochs": 3, "trainer.decay_start_epoch": 5}),
    ],
)
def test_the_corpus_and_the_preset_decide_what_nobody_set(assignments, expected):
    values = load(*assignments).values
    assert {key: values[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("trainer.learning_rate=1e-3", 0.001),
        ("trainer.learning_rate=2", 2),
        ("example_gen.pattern=*.txt", "*.txt"),
        ("loss.augmented=false", False),
        ('beam.args=["--runner=FlinkRunner", "--parallelism=2"]', ["--runner=FlinkRunner", "--parallelism=2"]),
        ("pipeline.root=a=b", "a=b"),
    ],
)
def test_values_are_read_as_yaml(text, value):
    assert load(text).values[text.partition("=")[0]] == value


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("trainer.batchsize=3", "trainer.batchsize (from --set) is not a configuration key"),
        ("trainer.batchsize=3", "the nearest is trainer.batch_size."),
        ("trainer.units=3", "the nearest is model.units"),
        ("traner.epochs=3", "the nearest is trainer.epochs"),
        ("epochs=3", "the nearest is trainer.epochs"),
        ("trainer.epochs=abc", "trainer.epochs (from --set): found 'abc', expected a valid integer."),
        ("trainer.epochs=3.5", "found 3.5, expected a valid integer"),
        ("trainer.epochs=true", "found True, expected a valid integer"),
        ("trainer.epochs=0", "found 0, expected greater than or equal to 1"),
        ("model.dropout=1.0", "model.dropout (from --set): found 1.0, expected less than 1"),
        ("loss.gamma=.nan", "found nan, expected a finite number"),
        ("model.preset=tiny", "found 'tiny', expected 'small', 'medium' or 'large'"),
        ("beam.args=[1]", "beam.args.0 (from --set): found 1, expected a valid string"),
        ("trainer.replicas=3", "trainer.batch_size: found 20, expected a multiple of replicas, 3"),
        ("trainer.average_patience=2 trainer.ema=0.9", "found 2 with ema 0.9, expected only one of the two"),
        ("trainer.average_patience=2 trainer.patience=3", "trainer.patience: found 3, expected at least"),
        ("example_gen.source_url=https://example.org/x.zip", "source_sha256, expected both"),
        ("vocabulary.max_size=2", "vocabulary.max_size: found 2, expected 3 or more"),
        ("model.output_bias=true", "model.output_bias: found true, expected false"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_what_was_expected(assignment, expected):
    assert expected in message(*assignment.split(" "))


def test_every_wrong_value_is_named_at_once():
    assert len(message("trainer.epochs=0", "loss.gamma=-1", "model.units=x").splitlines()) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("trainer: [1", "my.yaml is not valid YAML"),
        ("trainer: 3", "trainer: found 3, expected keys below the section"),
        ("- trainer", "expected sections such as"),
        ("trainer: {epochs: 3}\ntrainer: {seed: 4}\n", "'trainer' is given twice"),
        ("trainer:\n  epoch: 3\n", "trainer.epoch (from my.yaml) is not a configuration key"),
        ("trainer:\n  epochs: three\n", "trainer.epochs (from my.yaml): found 'three'"),
        ("example_gen: {dataset: 7}", "found 7, expected a valid string"),
        (f"trainer: {{epochs: {'9' * 5000}}}", "trainer.epochs (from my.yaml): found '99"),
        (
            "trainer: {epochs: 2001-99-99}",
            "trainer.epochs (from my.yaml): found '2001-99-99', expected a valid integer",
        ),
        ("trainer: {epochs: 1:30}", "trainer.epochs (from my.yaml): found '1:30', expected a valid integer"),
        ("trainer: {epochs: 010}", "trainer.epochs (from my.yaml): found '010', expected a valid integer"),
        (
            "model: {units: 99999999999999999999}",
            "model.units (from my.yaml): found 99999999999999999999, expected less",
        ),
        ("model: {preset: [a]}", "model.preset (from my.yaml): found ['a'], expected 'small'"),
        ("model: {preset: {a: 1}}", "model.preset (from my.yaml): found {'a': 1}, expected 'small'"),
        ("trainer: {? [a] : 1}", "my.yaml is not valid YAML: a key has to be a word"),
        (f"trainer: {{epochs: {'[' * 5000}{']' * 5000}}}", "nested too deep"),
        ("model: &a {units: *a}", "an alias repeats what it is in"),
        ("trainer: {epochs: !!timestamp x}", "a value does not fit its tag"),
        ("trainer: {epochs: !!python/object:os.system x}", "my.yaml is not valid YAML"),
        (
            'pipeline: {serving_dir: "a\\0b"}',
            "pipeline.serving_dir (from my.yaml): found 'a\\x00b', expected text without",
        ),
        ('pipeline: {root: "a\\0b"}', "pipeline.root (from my.yaml): found 'a\\x00b', expected text without"),
        (f"pipeline: {{root: {'a' * 300}}}", "expected a path that can be used (found: File name too long)"),
        ("pipeline: {root: ~no-such-user/x}", "found '~no-such-user/x', expected a path below a home folder"),
        ("example_gen: {data_dir: ~no-such-user/x}", "found '~no-such-user/x', expected a path below a home folder"),
        ("x" * 2_000_000, "is larger than 1,048,576 bytes"),
    ],
)
def test_a_wrong_file_is_an_error_that_names_it(tmp_path, content, expected):
    assert expected in message(file=content, tmp_path=tmp_path)


@pytest.mark.parametrize("place", ["{values}\n", "model: {{units: {value}}}\n", "beam: {{args: [{value}]}}\n"])
def test_aliases_that_expand_without_bound_are_refused_briefly(tmp_path, place):
    values = "".join(f"  a{i}: &a{i} [{','.join([f'*a{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9))
    file = "anchors:\n" + values + place.format(values="", value="*a8")
    found = message(file=file, tmp_path=tmp_path)
    assert "with its aliases it holds more than 10,000 values" in found and len(found) < 1000


def test_a_large_value_is_cut_short_in_the_message(tmp_path):
    found = message(file=f"model: {{units: [{'x,' * 5000}]}}", tmp_path=tmp_path)
    assert "model.units (from my.yaml): found ['x', 'x'" in found and len(found) < 1000


def test_anchors_aliases_and_merge_keys_work(tmp_path):
    file = (
        "model: &small {units: &width 16, dropout: 0.1}\n"
        "trainer:\n  <<: {epochs: 3, seed: 4}\n  seed: 5\n  batch_size: *width\n"
        "loss:\n  gamma_schedule: &ramp {start: 0.0, length: 2.0}\n"
        "  temperature_schedule: {<<: *ramp, start: 5.0}\n"
    )
    settings = load(file=file, tmp_path=tmp_path).settings
    assert (settings.trainer.epochs, settings.trainer.seed, settings.trainer.batch_size) == (3, 5, 16)
    assert (settings.loss.temperature_schedule.start, settings.loss.temperature_schedule.length) == (5.0, 2.0)
    several = "trainer:\n  <<: [{epochs: 3}, {epochs: 4, seed: 2}]\n"
    settings = load(file=several, tmp_path=tmp_path).settings
    assert (settings.trainer.epochs, settings.trainer.seed) == (3, 2)  # the first one wins


@pytest.mark.parametrize(
    "value", ["texts #2", "a: b", "010", "yes", "2001-01-01", "[x", "{a: 1}", "'q'", " x ", "~", "*"]
)
def test_text_is_taken_as_it_is(tmp_path, value):
    assert load(f"pipeline.root={tmp_path}/{value}").settings.pipeline.root == f"{tmp_path}/{value}"
    assert load(f"pipeline.root={value}").settings.pipeline.root == value


def test_null_is_no_text():
    assert load("pipeline.root=null").settings.pipeline.root == "output"
    assert load("model.preset=null").settings.model.preset is None
    assert "pipeline.root (from --set): found ''" in message("pipeline.root=")


def test_every_key_of_text_is_known_by_its_type():
    assert {"pipeline.root", "example_gen.pattern", "model.preset", "trainer.precision"} <= resolve.TEXT_KEYS
    assert not {"model.units", "loss.augmented", "trainer.patience", "beam.args", "tuner.space"} & resolve.TEXT_KEYS


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(config.ConfigurationError, match="missing.yaml cannot be read"):
        config.load(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("ftp://somewhere", "expected sqlite:///FILE, a folder, or the http"),
        ("sqlite://", "expected sqlite:///FILE"),
        ("https://me:secret@somewhere", "MLFLOW_TRACKING_PASSWORD"),
        (__file__, "sqlite:///"),
        ("http://me:secret@[::1", "an address that cannot be read (Invalid IPv6 URL)"),
        ("http://secret:99999", "an address that cannot be read"),
        ("http://a b", "or the http(s) address of a server"),
        ("http:///path", "or the http(s) address of a server"),
        ("~nosuchuser/secret", "an address that cannot be read"),
        ("secret" * 1000, "an address that cannot be read (File name too long)"),
    ],
)
def test_an_address_that_mlflow_does_not_take_is_refused(uri, expected):
    text = message(f"tracking.mlflow_uri={uri}")
    assert text.startswith("tracking.mlflow_uri: found ") and expected in text
    assert "secret" not in text
