"""The artifacts' files: what is written is what is read, and what is damaged is named."""

import json

import pydantic
import pytest

from components.artifacts import (
    evaluation,
    model_card,
    model_run,
    pushed_model,
    statistics,
    token_counts,
    trials,
    vocabulary,
)
from components.base import ComponentError
from tests.components.artifacts import samples

SOURCES = {"skipped": {"pipe": "a named pipe"}, "outside": 3, "files": {}}
WHOLE = {
    statistics.STATISTICS: samples.split_statistics("eval", shared_lines=["a line"]),
    statistics.SOURCES: SOURCES,
    statistics.ANOMALIES: {"errors": [], "warnings": ["Überall"]},
    vocabulary.FIGURES: {"size": 4, "tokens": 23, "coverage": 0.95},
    token_counts.COUNTS: dict.fromkeys(("train", "eval", "test"), {"tokens": 23, "unknown": 2}),
    model_card.CARD: samples.model_card(),
    model_run.HISTORY: {"steps_per_epoch": 10, "best_epoch": 1, "epochs": [samples.epoch(1)]},
    evaluation.EVALUATION: samples.evaluation(),
    evaluation.PREDICTIONS: {"phrases": [{"text": "the", "candidate": [{"word": "語", "probability": 0.25}]}]},
    evaluation.EMBEDDING: {"neighbours": [], "map": [{"word": "b", "x": 0.2, "y": 0.0}]},
    trials.TRIALS: samples.trials(samples.trial("0", [100.0], units=8)),
    trials.RECORD: samples.trial("0", [], "failed"),
    pushed_model.PUSHED: {"path": None, "version": None, "digest": None},
}
pytestmark = pytest.mark.parametrize("document", WHOLE, ids=lambda document: document.file)


@pytest.fixture
def folder(document, tmp_path):
    """An artifact's folder, with the folder that the document is in."""
    (tmp_path / document.file).parent.mkdir(exist_ok=True)
    return tmp_path


def test_what_is_written_is_read(document, folder):
    document.write(folder, WHOLE[document])
    assert document.is_in(folder) and document.read(folder) == WHOLE[document]
    raw = json.loads((folder / document.file).read_text(encoding="utf-8"))
    assert raw == {"format": 1} | WHOLE[document]
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / document.file]


def test_another_format_is_named_with_its_file_and_what_to_do(document, folder):
    whole = WHOLE[document]
    first = next(iter(whole))
    without_first = {key: value for key, value in whole.items() if key != first}
    for value, problem in (
        (whole | {"another": 1}, "cannot be read (another: extra inputs are not permitted"),
        (whole | {"format": 2}, "has format 2; this program reads format 1"),
        (without_first, f"cannot be read ({first}: field required"),
    ):
        (folder / document.file).write_text(json.dumps(value))
        with pytest.raises(ComponentError, match=r"Run the \w+ again") as error:
            document.read(folder)
        assert f"{folder / document.file} {problem}" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"epochs": [', b"[" * 100_000, None])
def test_a_damaged_or_missing_file_is_named(document, content, folder):
    if content is not None:
        (folder / document.file).write_bytes(content)
    with pytest.raises(ComponentError, match=f"{document.file} cannot be read"):
        document.read(folder)


def test_a_value_of_the_wrong_type_is_not_written_and_the_old_file_stays(document, folder):
    document.write(folder, WHOLE[document])
    with pytest.raises(pydantic.ValidationError):
        document.write(folder, {key: object() for key in WHOLE[document]})
    assert document.read(folder) == WHOLE[document]
