"""Snapshots are complete or absent."""

import contextlib
import resource

import numpy as np
import pytest

from models.training.checkpoint import Checkpoint

VALUES = {
    "weights": [np.arange(6, dtype=np.float32).reshape(2, 3), np.float32([np.pi]), np.zeros([0, 2], np.int64)],
    "state": np.float32([[1e-30, -0.0]]),
    "history": [{"epoch": 1, "valid_perplexity": 612.345678}],
    "window": 20,
    "note": None,
}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key == "weights":
            for a, b in zip(found[key], value, strict=True):
                assert a.dtype == b.dtype and a.tobytes() == b.tobytes() and a.shape == b.shape
        elif isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype and found[key].tobytes() == value.tobytes()
        else:
            assert found[key] == value


def test_values_come_back_bit_for_bit(tmp_path):
    Checkpoint(tmp_path / "new" / "folder").save("latest", **VALUES)
    assert_same(Checkpoint(tmp_path / "new" / "folder").load("latest"), VALUES)


def test_lists_of_more_than_ten_arrays_keep_their_order(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("latest", weights=[np.full(3, i) for i in range(25)])
    assert [int(w[0]) for w in checkpoint.load("latest")["weights"]] == list(range(25))


def test_a_snapshot_that_was_never_saved_is_none(tmp_path):
    assert Checkpoint(tmp_path).load("latest") is None


def test_a_snapshot_replaces_the_one_of_its_name_only(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("best", window=1)
    checkpoint.save("latest", window=2)
    checkpoint.save("latest", window=3)
    assert (checkpoint.load("best")["window"], checkpoint.load("latest")["window"]) == (1, 3)


@contextlib.contextmanager
def files_of_at_most(size):
    """The kernel refuses to let a file of this process grow beyond a size, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_old_snapshot_survives_a_new_one_that_does_not_fit_on_the_disk(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("latest", **VALUES)
    with pytest.raises(OSError, match="File too large"), files_of_at_most(20_000):
        checkpoint.save("latest", weights=[np.zeros(9_000)])
    assert_same(Checkpoint(tmp_path).load("latest"), VALUES)
    assert [path.name for path in tmp_path.iterdir()] == ["latest.npz"]


def test_the_old_snapshot_survives_a_new_one_that_cannot_be_synced(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("latest", **VALUES)

    def fail(_):
        raise OSError("Input/output error")

    monkeypatch.setattr("os.fsync", fail)  # no call of the system makes it fail
    with pytest.raises(OSError):
        checkpoint.save("latest", window=99)
    monkeypatch.undo()
    assert_same(Checkpoint(tmp_path).load("latest"), VALUES)


def test_a_file_left_half_written_by_a_kill_is_ignored(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("latest", window=1)
    (tmp_path / ".latest.npz").write_bytes(b"PK\x03\x04 half of a file")
    assert Checkpoint(tmp_path).load("latest") == {"window": 1}
    checkpoint.save("latest", window=2)
    assert checkpoint.load("latest") == {"window": 2}


def test_a_snapshot_is_on_the_disk_before_it_takes_its_name(tmp_path, monkeypatch):
    """Else a power cut could leave the name on an empty file. No test can cut the power, so this one watches calls."""
    import os
    from pathlib import Path

    calls = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: calls.append("sync") or sync(file))
    monkeypatch.setattr(Path, "replace", lambda self, target: calls.append("rename") or replace(self, target))
    Checkpoint(tmp_path).save("latest", window=1)
    assert calls == ["sync", "rename", "sync"]  # of the file, then of the folder that holds its name


@pytest.mark.parametrize("damage", ["truncated", "empty", "junk", "flipped", "another archive", "pickled"])
def test_a_damaged_snapshot_is_renamed_and_reported(tmp_path, damage, caplog):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save("best", window=1)
    checkpoint.save("latest", **VALUES)
    path = tmp_path / "latest.npz"
    content = path.read_bytes()
    if damage == "another archive":
        np.savez(path, a=np.zeros(3))
    elif damage == "pickled":
        np.savez(path, **{"": np.array({"a": 1}, dtype=object)})
    else:
        middle = content.index(b"weights/0") + 170
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        damaged = {"truncated": content[:-40], "empty": b"", "junk": b"junk" * 50, "flipped": flipped}
        path.write_bytes(damaged[damage])
    assert Checkpoint(tmp_path).load("latest") is None
    assert f"The checkpoint {path} is damaged" in caplog.text and "allow_pickle" not in caplog.text
    assert (tmp_path / "latest.npz.damaged").exists() and not path.exists()
    assert Checkpoint(tmp_path).load("best") == {"window": 1}
    checkpoint.save("latest", window=2)
    assert checkpoint.load("latest") == {"window": 2}
