"""What a run does about damaged, lost, incomplete or locked metadata, and the messages about it."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import RunnerError
from pipeline.metadata.store import Metadata
from pipeline.reporting import history
from pipeline.root import metadata_file
from pipeline.runner.local_runner import LocalRunner
from tests.pipeline.runner.world import flip, lineage, run, statuses


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "output"


@pytest.mark.parametrize("damage", ["truncated", "junk", "empty", "cut to a page", "flipped text", "flipped"])
def test_damaged_metadata_are_renamed_and_rebuilt(root, damage, capsys):
    run(root)
    run(root, text="bye")
    run(root)  # all cached
    before, path = lineage(root), metadata_file(root)
    content = path.read_bytes()
    if damage == "flipped text":
        flip(path, content.index(b"characters"))
    elif damage == "flipped":
        flip(path, len(content) // 2 + 7)
    else:
        parts = {"truncated": content[: len(content) // 2], "junk": b"junk" * 999, "cut to a page": content[:4096]}
        path.write_bytes(parts.get(damage, b""))
    assert set(statuses(run(root)).values()) == {"cached"}
    message = " ".join(capsys.readouterr().err.split())
    assert f"{path} was damaged" in message and "rebuilt from the records of 12 executions and 3 runs" in message
    after = lineage(root)
    assert after[: len(before) - 1] == before[:-1]  # executions, with ids, figures, inputs and outputs
    assert after[-1][1:] == before[-1]  # runs
    assert list(root.glob("metadata.sqlite.damaged-*"))
    assert set(statuses(run(root)).values()) == {"cached"} and "was damaged" not in capsys.readouterr().err


def test_runs_are_rebuilt_in_the_order_of_their_times_not_of_the_texts(root):
    earlier, later = run(root)["run_id"], run(root)["run_id"]
    for run_id, started in ((earlier, "2026-10-25T02:30:00+02:00"), (later, "2026-10-25T02:10:00+01:00")):
        path = root / "runs" / run_id / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"started": started}))
    metadata_file(root).unlink()
    newest = run(root)["run_id"]
    assert [found["run_id"] for found in history.read_runs(root)] == [newest, later, earlier]


def test_a_root_of_before_there_were_records_gets_them(root):
    run(root)
    before = lineage(root)
    for path in root.glob("*/.system"):
        shutil.rmtree(path)
    run(root)
    metadata_file(root).write_bytes(b"junk")
    run(root)
    assert lineage(root)[:4] == before[:4]


def test_a_killed_runs_metadata_are_checked_by_sqlite_alone(root):
    run(root)
    (root / "metadata.sqlite.sha256").unlink()
    before = lineage(root)
    assert set(statuses(run(root)).values()) == {"cached"} and lineage(root)[:4] == before[:4]
    (root / "metadata.sqlite.sha256").unlink()
    flip(metadata_file(root), 100)  # the kind of the first page
    assert set(statuses(run(root)).values()) == {"cached"}
    assert list(root.glob("metadata.sqlite.damaged-*"))


def test_metadata_locked_by_another_program_are_not_called_damaged(root, monkeypatch):
    run(root)
    monkeypatch.setattr("pipeline.metadata.recovery.WAIT_SECONDS", 0.2)
    other = sqlite3.connect(metadata_file(root), isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE Type SET name = name")
    with pytest.raises(RunnerError, match="metadata.sqlite is in use by another program .database is locked."):
        LocalRunner(root).__enter__()
    other.close()
    assert set(statuses(run(root)).values()) == {"cached"}


def lose_metadata(root):
    for path in root.glob("metadata.sqlite*"):
        path.unlink()


def test_metadata_that_were_deleted_are_rebuilt(root, capsys):
    run(root)
    run(root)
    before = lineage(root)
    lose_metadata(root)
    with pytest.raises(RunnerError, match=r"metadata.sqlite is missing. The next run \(--local\) rebuilds it"):
        history.read_runs(root)
    assert set(statuses(run(root)).values()) == {"cached"}
    assert "metadata.sqlite was missing, and was rebuilt from the records of 8 executions and 2 runs" in _words(capsys)
    assert lineage(root)[: len(before) - 1] == before[:-1] and not list(root.glob("metadata.sqlite.*-*"))


def test_a_rebuilding_that_was_killed_is_repeated(root, monkeypatch):
    run(root)
    before = lineage(root)
    metadata_file(root).write_bytes(b"junk")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Metadata, "restore", _interrupt)
        run(root)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", _interrupt)
        run(root)
    assert set(statuses(run(root)).values()) == {"cached"} and lineage(root)[:4] == before[:4]


def test_artifacts_of_metadata_that_were_begun_again_get_ids_of_their_own(root):
    """As an earlier version left them, which began again with the id 1 where the metadata were deleted."""
    run(root)
    aside = root.with_name("aside")
    root.rename(aside)
    run(root, text="bye")
    for record in root.glob("*/.system/*.json"):  # the older ones get the executions' ids 1 to 4, these 5 to 8
        changed = json.loads(record.read_text())
        changed["execution_id"] += 4
        record.with_name(f"{changed['execution_id']}.json").write_text(json.dumps(changed))
        shutil.copy(aside / record.relative_to(root), record)
    lose_metadata(root)
    for _ in range(2):
        run(root, text="bye")
        executions = lineage(root)[:8]
        made = [artifact.id for *_, outputs in executions for artifact in outputs.values()]
        read = [artifact.id for *_, inputs, _ in executions for artifact in inputs.values()]
        assert len(set(made)) == len(made) and set(read) < set(made)
        assert all(min(ids) > max(made[: len(made) // 2]) for ids in [made[len(made) // 2 :], read[len(read) // 2 :]])
        lose_metadata(root)


def test_a_record_without_its_fields_is_left_out(root, caplog):
    run(root)
    for path, content in zip(root.glob("runs/*/run.json"), ["{}"], strict=True):
        path.write_text(content)
    (root / "Judge/.system/3.json").write_text("{}")
    (root / "Ship/.system/4.json").write_text("[]")
    lose_metadata(root)
    assert set(statuses(run(root)).values()) == {"cached", "executed"}
    assert "Judge/.system/3.json cannot be read and is left out (execution_id, component, run_id" in caplog.text
    assert "run.json cannot be read and is left out (started is missing" in caplog.text
    assert "Ship/.system/4.json cannot be read and is left out (found list, expected a mapping)" in caplog.text


def _interrupt(*_):
    raise KeyboardInterrupt


def _words(capsys) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_outputs_are_never_overwritten_though_metadata_and_records_were_lost(root):
    run(root)
    lose_metadata(root)
    for path in root.glob("*/.system"):
        shutil.rmtree(path)
    record = run(root)
    assert record["components"][0]["outputs"]["text"]["uri"] == "Source/text/5"
    assert (root / "Source/text/1/text.txt").exists()
