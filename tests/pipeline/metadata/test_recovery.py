"""What a run does about damaged, lost, incomplete or locked metadata, and the messages about it."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import RunnerError
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


def test_outputs_are_never_overwritten_though_the_metadata_were_lost(root):
    run(root)
    for path in root.glob("metadata.sqlite*"):
        path.unlink()
    record = run(root)
    assert record["components"][0]["outputs"]["text"]["uri"] == "Source/text/5"
    assert (root / "Source/text/1/text.txt").exists()
