"""Damaged artifacts, checkpoints and records: each case ends in an error that names the file, or changes nothing.

What a whole run makes of damaged artifacts is in `tests/pipeline/runner/test_failures.py`.
"""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np

from components.artifacts.examples import ExamplesShard, list_shards, read_batches
from components.base import ComponentError
from components.pusher import push_record
from models.text.token_stream import TokenStream
from models.training.checkpoint import Checkpoint
from pipeline.metadata import recovery
from pipeline.root import metadata_file
from tests.components.examples_artifact import write_texts
from tests.faults.hostile_cases import check, damaged, of_file
from tests.models.text.test_token_stream import write_split
from tests.pipeline.runner.fake_components import chain
from tests.pipeline.runner.world import run

LINE = "Übung macht den Meister .\n".encode()


def test_damaged_tfrecords_are_refused(tmp_path):

    whole = write_texts(tmp_path / "whole", train=LINE * 300) / "Split-train" / "data_tfrecord-00000-of-00001"
    path = tmp_path / "Split-train" / whole.name
    path.parent.mkdir()

    def read(content):
        path.write_bytes(content)
        shard = ExamplesShard("train", 0, 1, str(path))
        return b"".join(example.text for batch in read_batches(shard) for example in batch)

    def accepted(name, text):
        return text == {"twice": LINE * 600, "empty": b""}.get(name)

    cases = [(name, str(path), lambda content=content: read(content)) for name, content in of_file(whole, flips=30)]
    check(54, cases, ComponentError, accepted)


def test_wrong_names_of_shards_are_refused(tmp_path):

    folder = tmp_path / "Split-train"
    names = ["00001-of-00001", "00000-of-00002", "00000-of-00000", "0-of-1", "a-of-b", "00000-of-00001.bak", ""]

    def read(name):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / f"data_tfrecord-{name}").touch()
        return list_shards(tmp_path, ["train"])

    cases = [(name, str(folder), lambda name=name: read(name)) for name in names]
    check(7, cases, ComponentError, lambda name, result: False)


def test_damaged_vocabularies_are_refused(tmp_path):
    from models.text.tokenizer import Tokenizer

    settings = {"tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False}
    words = b"<unk>\n<eos>\nthe\nof\n" + "Übung\n".encode()

    def read(name, content):
        (tmp_path / "vocabulary.txt").write_bytes(words)
        (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
        (tmp_path / name).write_bytes(content)
        return Tokenizer.load(tmp_path)

    contents = [("tokenizer.json", *case) for case in damaged(json.dumps(settings).encode(), 20, 6)]
    contents += [
        ("tokenizer.json", name, json.dumps(value).encode())
        for name, value in {
            "no keys": {},
            "one more key": settings | {"a": 1},
            "a number": settings | {"tokenizer": 3},
            "text for a flag": settings | {"lowercase": "no"},
            "null": settings | {"keep_blank_lines": None},
            "another tokenizer": settings | {"tokenizer": "bpe"},
            "a file": settings | {"vocabulary_file": "/etc/passwd"},
        }.items()
    ]
    contents += [("vocabulary.txt", *case) for case in damaged(words, 8, 6)]
    contents.append(("vocabulary.txt", "a word twice", words + b"the\n"))
    contents.append(("vocabulary.txt", "symbols swapped", b"<eos>\n<unk>\nthe\n"))
    cases = [
        (f"{file}: {name}", str(tmp_path / file), lambda file=file, content=content: read(file, content))
        for file, name, content in contents
    ]

    def accepted(name, tokenizer):
        return tokenizer.vocabulary_size >= 2 and isinstance(tokenizer.lowercase, bool)

    check(60, cases, ValueError, accepted)


def test_damaged_token_indexes_are_refused(tmp_path):
    split = write_split(tmp_path / "Split-train", [[3, 5], [4, 1, 1], [7]])
    index = (split / "index.json").read_bytes()
    document = json.loads(index)
    changed = [
        {"format": 2}, {"format": None}, {"num_tokens": -1}, {"num_tokens": 10**30}, {"num_tokens": "21"},
        {"num_tokens": 2.5},
        {"num_tokens": True}, {"shards": None}, {"shards": {}}, {"shards": [None]}, {"shards": [[]]},
        {"shards": [{}]}, {"shards": []},
        {"shards": [{"file": "../x", "records": [1]}]}, {"shards": [{"file": "/etc/passwd", "records": [1]}]},
        {"shards": [{"file": "", "records": []}]}, {"shards": [{"file": ".", "records": []}]},
        {"shards": [{"file": "a\0b", "records": [1]}]}, {"shards": [{"file": "n" * 300, "records": [1]}]},
        {"shards": [{"file": document["shards"][0]["file"], "records": [10**40]}]},
        {"shards": [{"file": document["shards"][0]["file"], "records": [2**39] * 50}]},
        {"shards": [{"file": document["shards"][0]["file"], "records": [-3]}]},
        {"shards": [{"file": document["shards"][0]["file"], "records": "38"}]},
    ]  # fmt: skip
    contents = [*damaged(index, 40, 10), *((str(c)[:60], json.dumps(document | c).encode()) for c in changed)]

    def read(content):
        (split / "index.json").write_bytes(content)
        return TokenStream(split)[:]

    cases = [(name, str(split), lambda content=content: read(content)) for name, content in contents]
    check(80, cases, ValueError, lambda name, ids: np.array_equal(ids, np.arange(21)))


def test_damaged_checkpoints_are_refused(tmp_path, caplog):
    values = {"window": 3, "weights": [np.arange(50, dtype=np.float32), np.ones((4, 4), np.float32)]}
    Checkpoint(tmp_path).save("latest", **values)
    path = tmp_path / "latest.npz"

    def read(content):
        caplog.clear()
        path.write_bytes(content)
        return Checkpoint(tmp_path).load("latest"), caplog.text

    def accepted(name, found):
        loaded, message = found
        if loaded is None:
            return f"The checkpoint {path} is damaged" in message and "Traceback" not in message
        return loaded["window"] == 3 and all(map(np.array_equal, loaded["weights"], values["weights"]))

    cases = [("", "", lambda content=content: read(content)) for _, content in of_file(path, flips=40)]
    check(60, cases, (), accepted)


def test_damaged_metadata_are_rebuilt(tmp_path):
    root, reports = tmp_path / "root", []
    run(root, chain(root / "serving"))
    path, checksum = metadata_file(root), (root / "metadata.sqlite.sha256").read_bytes()
    executions = _executions(path)

    def read(content, with_checksum):
        reports.clear()
        for file in root.glob("metadata.sqlite*"):
            file.unlink()
        path.write_bytes(content)
        if with_checksum:
            (root / "metadata.sqlite.sha256").write_bytes(checksum)
        with recovery.opened(root, reports.append):
            pass
        return _executions(path), list(reports)

    def accepted(name, found):
        rows, messages = found
        return rows == executions and messages and "was damaged" in messages[0] and str(path) in messages[0]

    contents = list(of_file(path, flips=25))
    cases = [(name, str(path), lambda content=content: read(content, True)) for name, content in contents]
    check(45, cases, (), accepted)
    # After a kill there is no checksum: damage that SQLite cannot detect may stay, but nothing fails.
    cases = [(name, str(path), lambda content=content: read(content, False)) for name, content in contents]
    check(45, cases, (), lambda name, found: len(found[0]) <= len(executions))


def _executions(path: Path) -> list:
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT e.id, t.name, last_known_state FROM Execution e JOIN Type t ON t.id = type_id ORDER BY e.id"
        return database.execute(query).fetchall()


def test_damaged_records_of_pushes_are_repaired(tmp_path):
    whole = json.dumps([{"version": 1, "digest": "ab", "rollback_of": None}, {"version": 2, "digest": "cd"}]).encode()

    def read(content):
        (tmp_path / push_record.RECORD_FILE).write_bytes(content)
        return push_record.read(tmp_path, [])

    contents = [*damaged(whole, 20, 8), *((repr(v), json.dumps(v).encode()) for v in (
        {"a": 1}, [1], [[]], [{}], [{"version": "1", "digest": ""}], [{"version": 10**30, "digest": "a"}], "x", 3, True,
    ))]  # fmt: skip
    cases = [(name, "", lambda content=content: read(content)) for name, content in contents]
    check(45, cases, ComponentError, lambda name, pushes: isinstance(pushes, list))
