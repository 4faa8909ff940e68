"""What a run does about damaged artifacts, what kills left behind, and a full disk, and the messages about it."""

import datetime
import json
import logging
import os
import tempfile
import types
from pathlib import Path

import pytest

from components.child_process import ChildDied
from pipeline.errors import RunnerError
from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file, run_folder, temporary_folder, work_folder
from pipeline.runner.local_runner import LocalRunner
from tests.pipeline.runner.fake_components import Climb, Shout, chain
from tests.pipeline.runner.world import flip, run, statuses


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "output"


def test_bits_that_rot_under_an_unchanged_time_are_noticed_before_they_are_read(root):
    run(root)
    path = root / "Source/text/1/text.txt"
    before = path.stat()
    flip(path, 0)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # With another parameter, Shout reads the text again.
    error = run(root, blessed=True, error="none of these")["error"]
    assert error.startswith(f"Shout: {path} is damaged: its contents are not those that Source wrote.")
    assert "--no-cache" in error
    record = run(root, error="none of these")
    assert statuses(record)["Source"] == "executed" and record["exit"] == 0
    assert (root / record["components"][0]["outputs"]["text"]["uri"] / "text.txt").read_text() == "hello"


def test_the_workspace_of_a_finished_component_is_removed(root):
    run(root, [Climb(Climb.Parameters())])
    with Metadata(metadata_file(root), read_only=True) as records:
        left = work_folder(root, "Climb") / records.properties("Execution", 1)["cache_key"]
    left.mkdir()  # as a run leaves it that is killed right after its record
    assert statuses(run(root, [Climb(Climb.Parameters())])) == {"Climb": "cached"}
    assert not left.exists()


def test_temporary_files_lie_below_the_root_and_go_with_the_next_run(root):
    elsewhere = tempfile.gettempdir()
    with LocalRunner(root):
        inside = tempfile.mkdtemp()
        assert Path(inside).parent == temporary_folder(root) and os.environ["TMPDIR"] == str(temporary_folder(root))
    assert tempfile.gettempdir() == elsewhere and not Path(inside).exists()
    (temporary_folder(root) / "left-by-a-kill").mkdir(parents=True)
    run(root)
    assert not temporary_folder(root).exists()


@pytest.mark.parametrize("error", ["ResourceExhaustedError: /x/saved_model.pb.tmp; No space left on device", "died"])
def test_a_full_disk_is_named_however_a_library_says_it(root, error, monkeypatch):
    def execute(self, *_):
        if error == "died":
            raise ChildDied("The training process ended without a result (exit code -11).")
        raise RuntimeError(f"Traceback (most recent call last)\n{error}")

    monkeypatch.setattr(Shout, "execute", execute)
    if error == "died":
        monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=4096))
    assert f"the disk with {root} is full. Free some space" in run(root)["error"]


def test_out_of_memory_and_damaged_records_are_named(root, monkeypatch):
    for text, expected in (
        ("tensorflow.ResourceExhaustedError: OOM when allocating tensor", "out of memory. Lower trainer.batch_size"),
        ("DataLossError: corrupted record at 12", "Rebuild all outputs with --no-cache"),
    ):
        monkeypatch.setattr(Shout, "execute", lambda *_, text=text: (_ for _ in ()).throw(RuntimeError(text)))
        assert expected in run(root)["error"]


def test_a_run_that_cannot_be_recorded_at_its_start_is_refused(root):
    with LocalRunner(root) as runner, Metadata(metadata_file(root), read_only=True) as read_only:
        runner.metadata = read_only
        with pytest.raises(RunnerError, match="pipeline.root: .* cannot be written"):
            runner.run(chain(root / "serving"))


def test_a_lock_that_is_not_a_file_is_reported(root):
    root.mkdir()
    os.mkfifo(root / ".lock")
    with pytest.raises(RunnerError, match="/.lock is not a regular file"):
        LocalRunner(root).__enter__()


def test_every_run_has_its_own_log_without_secrets(root):
    with LocalRunner(root) as runner:
        logging.getLogger("components").warning("GET https://me:pass@host/x?token=abc --s3_secret_access_key=xyz")
        record = runner.run(chain(root / "serving", error="component"))
    log = run_folder(root, record["run_id"]) / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line.keys() == {"time", "level", "component", "message"} for line in lines)
    first, *others = [(line["level"], line["component"], line["message"]) for line in lines]
    assert first == (
        "WARNING", None, "GET https://***@host/x?token=*** --s3_secret_access_key=***",
    )  # fmt: skip
    assert ("INFO", "Source", "Source started") in others
    assert ("ERROR", "Shout", "Shout: loss.gamma: found -1, expected a positive number.") in others
    assert datetime.datetime.fromisoformat(lines[0]["time"]).tzinfo
