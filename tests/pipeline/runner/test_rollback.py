"""What a rollback reports when its version is pushed, but not recorded."""

import io
import json
import sqlite3

import pytest

from components.pusher import versions
from pipeline import run
from pipeline.exit_codes import DONE, FAILED, USAGE_ERROR
from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    for content in ("first", "second"):
        model = tmp_path / content
        model.mkdir()
        (model / "saved_model.pb").write_text(content)
        versions.push(model, root / "serving", keep_versions=3)
    return root


def roll_back(root):
    """Returns the exit code and what the command prints on standard output."""
    output = io.StringIO()
    parsed = run.parse_arguments(["--rollback", "--set", f"pipeline.root={root}"])
    return run.run_command(parsed, output), output.getvalue()


def check_pushed_but_failed(root, exit_code, output, error):
    result = json.loads(output)
    assert exit_code == result["exit"] == FAILED
    assert result["pushed_model"] == str(root / "serving" / "3"), "it was pushed, whatever is recorded"
    assert (root / "serving" / "3" / "saved_model.pb").read_text() == "first"
    message = "Version 3 was pushed, as version 1 again, but the lineage does not record it: "
    assert message in " ".join(error.split())


def test_a_rollback_whose_artifact_cannot_be_written_ends_with_1(root, capsys):
    (root / "Rollback").touch()  # where its artifact's folder would be
    exit_code, output = roll_back(root)
    check_pushed_but_failed(root, exit_code, output, capsys.readouterr().err)

    (root / "Rollback").unlink()
    (root / "serving" / "4").mkdir()
    (root / "serving" / "4" / "saved_model.pb").write_text("third")
    exit_code, output = roll_back(root)
    assert exit_code == DONE and json.loads(output)["pushed_model"] == str(root / "serving" / "5")


def test_the_serving_folder_may_be_the_root(root):
    for version in ("1", "2"):
        (root / "serving" / version).rename(root / version)
    output = io.StringIO()
    settings = ["--set", f"pipeline.root={root}", "--set", f"pipeline.serving_dir={root}"]
    assert run.run_command(run.parse_arguments(["--rollback", *settings]), output) == DONE
    assert json.loads(output.getvalue())["pushed_model"] == str(root / "3")


def test_a_damaged_record_of_another_push_does_not_stop_a_rollback(root):
    assert roll_back(root)[0] == DONE
    [damaged] = root.glob("Rollback/pushed_model/*/pushed.json")
    damaged.write_text("{")
    (root / "serving" / "4").mkdir()
    (root / "serving" / "4" / "saved_model.pb").write_text("third")
    exit_code, output = roll_back(root)
    assert exit_code == DONE and json.loads(output)["pushed_model"] == str(root / "serving" / "5")


def test_a_rollback_whose_end_cannot_be_recorded_ends_with_1(root, monkeypatch, capsys):
    def fail(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Metadata, "finish_run", fail)
    exit_code, output = roll_back(root)
    error = capsys.readouterr().err
    check_pushed_but_failed(root, exit_code, output, error)
    assert "is full. Free some space" in " ".join(error.split())


def test_a_rollback_without_an_earlier_version_ends_with_2_and_changes_nothing(tmp_path, capsys):
    assert roll_back(tmp_path) == (USAGE_ERROR, "")
    assert "no version was pushed" in capsys.readouterr().err
    assert not (tmp_path / "serving").exists()
    with Metadata(metadata_file(tmp_path)) as records:
        assert records.runs() == []
