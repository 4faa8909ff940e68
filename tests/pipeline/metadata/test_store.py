"""The lineage's tables: written by one run, read by many."""

import os
import sqlite3
import threading

from pipeline.metadata.store import COMPLETE, FAILED, Metadata


def publish(records: Metadata, run_id: str, cache_key: str, inputs=None) -> dict:
    execution = records.start_execution("Trainer", run_id, inputs or {}, cache_key=cache_key)
    files = {"weights": [3, 1, "ab"]}
    return records.publish_execution(execution, {"model": ("Model", "Trainer/model/1", "digest", files)}, seconds=1.5)


def test_an_artifact_is_read_as_it_was_published(tmp_path):
    with Metadata(tmp_path / "m.sqlite") as records:
        model = publish(records, "run-1", "key")["model"]
        assert (model.type, model.uri, model.digest, model.producer) == (
            "Model",
            "Trainer/model/1",
            "digest",
            "Trainer",
        )
        assert model.files == {"weights": [3, 1, "ab"]}
        assert records.properties("Execution", 1) == {"cache_key": "key", "seconds": 1.5}


def test_only_complete_executions_are_found_by_their_key_and_the_newest_first(tmp_path):
    with Metadata(tmp_path / "m.sqlite") as records:
        failed = records.start_execution("Trainer", "run-1", {}, cache_key="key")
        assert records.find_cached("Trainer", "key") is None and records.running() == {failed: "Trainer"}
        records.end_execution(failed, FAILED, "fell")
        publish(records, "run-1", "key")
        publish(records, "run-2", "key")
        assert records.find_cached("Trainer", "key") == 3
        assert records.find_cached("Trainer", "other") is None and records.find_cached("Tuner", "key") is None


def test_the_tables_are_ml_metadatas(tmp_path):
    with Metadata(tmp_path / "m.sqlite") as records:
        model = publish(records, "run-1", "key")["model"]
        records.publish_cached("Trainer", "run-2", 1, {"model": model.id})
    database = sqlite3.connect(tmp_path / "m.sqlite")
    tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert {"Type", "Artifact", "Execution", "Event", "EventPath", "Context", "Attribution", "Association"} <= tables
    contexts = "SELECT t.name, c.name FROM Context c JOIN Type t ON t.id = c.type_id WHERE t.name != 'pipeline'"
    assert set(database.execute(contexts)) == {
        ("pipeline_run", "run-1"),
        ("pipeline_run", "run-2"),
        ("node", "Trainer"),
    }
    assert list(database.execute("SELECT last_known_state FROM Execution ORDER BY id")) == [(COMPLETE,), (5,)]
    events = "SELECT execution_id, type, step_key FROM Event JOIN EventPath ON event_id = Event.id ORDER BY Event.id"
    assert list(database.execute(events)) == [(1, 4, "model"), (2, 3, "model"), (2, 4, "model")]


def test_readers_see_whole_transactions_while_a_run_writes(tmp_path):
    path, problems, done = tmp_path / "m.sqlite", [], threading.Event()

    def read():
        with Metadata(path, read_only=True) as records:
            while not done.is_set():
                for artifact in records.artifacts("Model"):
                    if artifact.digest != "digest" or artifact.producer != "Trainer":
                        problems.append(artifact)

    with Metadata(path) as records:
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(30):
            publish(records, "run", str(number))
        done.set()
        for reader in readers:
            reader.join()
    assert problems == []


def test_two_writers_take_turns(tmp_path):
    path = tmp_path / "m.sqlite"
    Metadata(path).__exit__()

    def write(run_id):
        with Metadata(path) as records:
            for number in range(20):
                publish(records, run_id, str(number))

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with Metadata(path) as records:
        assert len(records.artifacts("Model")) == 40


def test_a_folder_that_cannot_be_written_can_still_be_read(tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    with Metadata(folder / "m.sqlite") as records:
        records.start_run("run-1", {"started": "now"})
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):  # as root every folder can be written: at least the plain way is tried
            folder.chmod(0o755)
        with Metadata(folder / "m.sqlite", read_only=True) as records:
            assert records.runs() == [{"run_id": "run-1", "started": "now"}]
    finally:
        folder.chmod(0o755)
