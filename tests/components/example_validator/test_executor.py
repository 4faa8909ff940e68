"""ExampleValidator: what passes, what warns and what stops the run."""

import pytest

from components import base
from components.artifacts.statistics import ANOMALIES, STATISTICS
from components.example_validator.component import ExampleValidator
from tests.components.artifacts import samples


def validate(tmp_path, max_invalid_fraction=0.01, **changes):
    """Runs the component on good statistics changed by split: its figures, and what it wrote."""
    for split in ("train", "eval", "test"):
        (tmp_path / f"Split-{split}").mkdir()
        STATISTICS.write(tmp_path / f"Split-{split}", samples.split_statistics(split, **changes.get(split, {})))
    component = ExampleValidator(
        ExampleValidator.Parameters(max_invalid_fraction=max_invalid_fraction),
        statistics=base.Channel("StatisticsGen", "statistics", "ExampleStatistics"),
    )
    context = base.Context(run_id="test", workspace=None, progress=False)
    figures = component.execute({"statistics": tmp_path}, {"anomalies": tmp_path}, context)
    return figures, ANOMALIES.read(tmp_path)


def test_sound_data_passes_without_a_message(tmp_path):
    figures, anomalies = validate(tmp_path)
    assert figures == {"errors": 0, "warnings": 0}
    assert anomalies == {"errors": [], "warnings": []}


def test_an_empty_split_stops_the_run_and_warnings_are_shown(tmp_path, caplog):
    with pytest.raises(base.ComponentError, match="eval split is empty.*example_gen.pattern"):
        validate(tmp_path, eval={"tokens": 0, "bytes": 3}, train={"tokens": 5})
    assert "min_tokens" in caplog.text, "nothing is published that would show it"


def test_too_many_invalid_bytes_stop_the_run_with_every_split_named(tmp_path):
    with pytest.raises(base.ComponentError) as error:
        validate(
            tmp_path,
            train={"invalid_bytes": 11, "invalid_fraction": 0.011},
            test={"invalid_bytes": 500, "invalid_fraction": 0.5, "nul_bytes": 400},
        )
    train, test = str(error.value).splitlines()
    assert "train split has 11 bytes that are not UTF-8, 1.10% of 1,000" in train
    assert "max_invalid_fraction allows 1.00%" in train
    assert "UTF-16" in test and "UTF-16" not in train


def test_invalid_bytes_up_to_the_limit_pass(tmp_path):
    figures, _ = validate(tmp_path, max_invalid_fraction=0.5, test={"invalid_bytes": 500, "invalid_fraction": 0.5})
    assert figures["errors"] == 0


def test_an_overlap_of_the_splits_is_a_warning(tmp_path):
    figures, anomalies = validate(
        tmp_path,
        eval={"overlap_with_train": {"lines": 30, "share": 0.3}},
        test={"overlap_with_train": {"lines": 1, "share": 0.01}},
    )
    assert figures["warnings"] == 1
    assert anomalies["errors"] == []
    (warning,) = anomalies["warnings"]
    assert warning.startswith("30.0% of the eval split's lines (30)")
