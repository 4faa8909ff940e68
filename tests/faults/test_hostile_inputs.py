"""Damaged and hostile input, by tables: each case ends in an error that names the file or key, or changes nothing.

Never in another exception (a traceback to the user), a hang or a crash. What a whole run makes of such input is in
`tests/pipeline/test_recovery.py`; what a server in a process of its own does, in `tests/pipeline/test_serve_hostile.py`.
"""

import codecs
import contextlib
import gzip
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from components.base import ComponentError
from components.example_gen import text_files
from components.pusher import push_record
from models.checkpoint import Checkpoint
from models.token_stream import TokenStream
from models.word_vectors import load_word_vectors
from pipeline import config, metadata_recovery
from pipeline.server import bodies, tensors
from pipeline.server.errors import RequestError
from tests.components.examples_artifact import write_texts
from tests.models.test_token_stream import write_split

CASE_SECONDS = 20  # on a busy machine; the slowest takes less than one
JUNK = random.Random(5).randbytes(3000)
OTHER_FILES = {
    "empty": b"",
    "a newline": b"\n",
    "NULs": b"\0" * 5000,
    "random": JUNK,
    "zip": b"PK\x03\x04" + JUNK,
    "gzip": gzip.compress(b"text\n" * 100),
    "pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
    "UTF-16": "some words\n".encode("utf-16") * 50,
    "deep JSON": b"[" * 100_000,
    "JSON": b'{"format": 1}',
    "null": b"null",
    "a list": b"[1, 2]",
    "a long line": b"x" * 3_000_000,
}  # fmt: skip

tried: dict[str, int] = {}


def damaged(content: bytes, flips: int = 12, cuts: int = 8) -> Iterator[tuple[str, bytes]]:
    """A file's contents cut short, with a bit flipped, or replaced altogether."""
    for place in sorted(random.Random(len(content)).sample(range(len(content)), min(flips, len(content)))):
        yield f"bit flipped at {place}", content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
    for part in range(1, cuts + 1):
        length = len(content) * part // (cuts + 1)
        yield f"cut to {length}", content[:length]
    yield "twice", content * 2
    yield from OTHER_FILES.items()


@contextlib.contextmanager
def _limited():
    def hang(*_):
        raise TimeoutError(f"it took longer than {CASE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(CASE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(
    kind: str,
    cases: Iterable[tuple[str, str, Callable[[], object]]],
    errors: type[Exception] | tuple[type[Exception], ...],
    accepted: Callable[[str, object], bool] = lambda name, result: True,
) -> None:
    """Runs cases: each has to raise one of `errors`, with a given word in it, or to give what is `accepted`.

    Args:
        kind: What is damaged.
        cases: Name, what the message has to name, and what reads the input.
        errors: The errors that are shown to people in words.
        accepted: Takes a case's name and result.
    """
    wrong, count = [], 0
    for name, named, read in cases:
        count += 1
        try:
            with _limited():
                result = read()
            if not accepted(name, result):
                wrong.append(f"{name}: taken for good: {str(result)[:200]}")
        except errors as error:
            if named not in str(error) or len(str(error)) > 2500 or "allow_pickle" in str(error):
                wrong.append(f"{name}: {len(str(error))} characters: {str(error)[:300]}")
            if not isinstance(errors, tuple) and type(error) is not errors:  # JSONDecodeError is a ValueError, too
                wrong.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
        except BaseException as error:
            wrong.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    tried[kind] = count
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)


# -- text ---------------------------------------------------------------------------------------------------------------

LINE = "Übung macht den Meister .\n".encode()
TEXTS = {
    "invalid UTF-8": b"a\xff\xfeb c\n" * 50,
    "overlong UTF-8": b"\xc0\xaf\xe0\x80\xaf\n" * 20,
    "surrogates in UTF-8": b"\xed\xa0\x80\xed\xb0\x80\n" * 20,
    "one NUL": b"a b\0c\n" + LINE * 50,
    "many NULs": b"a\0b\0" * 500,
    "UTF-16 with a mark": codecs.BOM_UTF16_LE + "some words\n".encode("utf-16-le") * 20,
    "UTF-16 cut in a letter": codecs.BOM_UTF16_LE + ("some words\n" * 20).encode("utf-16-le")[:-1],
    "UTF-16 without a mark": "some words\n".encode("utf-16-le") * 20,
    "UTF-32 with a mark": codecs.BOM_UTF32_BE + "some words\n".encode("utf-32-be") * 20,
    "UTF-16 lone surrogates": codecs.BOM_UTF16_LE + b"\x00\xd8a\x00\n\x00" * 9,
    "a mark alone": codecs.BOM_UTF8,
    "two marks": codecs.BOM_UTF8 * 2 + LINE * 9,
    "lone carriage returns": b"one\rtwo\rthree" * 20,
    "mixed line ends": b"one\r\ntwo\n\rthree\x0bfour\x0cfive\x1c\x85" * 20,
    "no line end": b"word " * 2000,
    "blank lines": b"\n" * 3000,
    "spaces": b" \t" * 3000,
    "one word of a megabyte": b"x" * 2**20,
    "combining marks": "e".encode() + "\u0301".encode() * 20_000 + b"\n",
    "right to left": "\u202e\u2066abc\u2069\n".encode() * 50,
    "<script>": b"<script>alert(1)</script>\n" * 50,
    "reserved words": b"<unk> <eos> <unk>\n" * 50,
    "controls": bytes(range(1, 9)) * 500,
    "escape codes": b"\x1b[31mred\x1b[0m\n" * 50,
    "a non-character": "\uffff\ufdd0\n".encode() * 50,
    "tar": b"train.txt" + b"\0" * 91 + b"0000644\0" + b"0" * 400,
    "PDF": b"%PDF-1.7\n" + LINE * 10,
    "xz": b"\xfd7zXZ\0" + JUNK,
    "zstd": b"\x28\xb5\x2f\xfd" + JUNK,
    "gzip of a zip": gzip.compress(b"PK\x03\x04" + JUNK),
    "gzip of UTF-16": gzip.compress(codecs.BOM_UTF16_LE + "some words\n".encode("utf-16-le") * 20),
    "gzip of NULs": gzip.compress(b"\0" * 10_000),
    "gzip and garbage": gzip.compress(LINE * 100) + JUNK,
    "two gzip members": gzip.compress(LINE * 100) + gzip.compress(LINE),
    "gzip of a line of 80 MB": gzip.compress(b"x" * 80_000_000, 1),
    "gzip bomb of lines": gzip.compress(gzip.compress((b"x" * 99 + b"\n") * 10**6, 1), 1),
    "gzip header alone": gzip.compress(LINE)[:10],
}  # fmt: skip


def _lines(folder: Path, document: str = "file") -> int:
    chunks = text_files.plan(folder, "**/*", document, 4096)
    return sum(len(run.lines) for chunk in chunks for _, run in chunk.routed())


def _text_cases(folder: Path):
    contents = TEXTS | {f"text {name}": content for name, content in damaged(LINE * 200)}
    contents |= {f"gzip {name}": content for name, content in damaged(gzip.compress(LINE * 2000))}
    for number, (name, content) in enumerate(contents.items()):
        place = folder / str(number)
        place.mkdir()
        for split in ("valid", "test"):
            (place / f"{split}.txt").write_bytes(LINE * 5)
        (place / "train.txt").write_bytes(content)
        named = str(place) if len(content) > 3 else "example_gen.data_dir"
        yield name, named, lambda place=place, number=number: _lines(place, ("file", "block")[number % 2])


def test_texts(tmp_path):
    check("text files", _text_cases(tmp_path), ComponentError)


def test_entries_of_a_data_folder(tmp_path):
    def fifo(place):
        os.mkfifo(place / "train.txt")

    def unix_socket(place):
        with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(place):
            server.bind("train.txt")

    def chain_of_links(place):
        (place / "a.txt").symlink_to("b.txt")
        (place / "b.txt").symlink_to("a.txt")

    makers = {
        "nothing": lambda place: None,
        "a pipe": fifo,
        "a socket": unix_socket,
        "a loop of links": chain_of_links,
        "a link to nothing": lambda place: (place / "train.txt").symlink_to("gone"),
        "a link to a device": lambda place: (place / "train.txt").symlink_to("/dev/zero"),
        "a link to its own folder": lambda place: (place / "train.txt").symlink_to("."),
        "a folder of that name": lambda place: (place / "train.txt").mkdir(),
        "a hidden file": lambda place: (place / ".train.txt").write_bytes(LINE),
        "an empty file": lambda place: (place / "train.txt").touch(),
        "a long name": lambda place: (place / ("n" * 250 + ".txt")).touch(),
        "a name of bytes": lambda place: Path(os.fsdecode(os.fsencode(place) + b"/\xff.txt")).touch(),
        "a name with a newline": lambda place: (place / "a\nb.txt").touch(),
    }

    def cases():
        for number, (name, make) in enumerate(makers.items()):
            place = tmp_path / str(number)
            place.mkdir()
            make(place)
            yield name, "example_gen.", lambda place=place: _lines(place)

    check("entries of a data folder", cases(), ComponentError, lambda name, result: False)


def test_patterns_of_a_data_folder(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_bytes(LINE * 20)
    patterns = [
        "", "/", "/etc/*", "..", "../*", "a/../../*", "[", "[!", "]", "***", "**", "*" * 60, "{", "{a,b", "{,}", "}{", "{a,{b,c}}",
        "{a,b}" * 6, "\\", "\0", "?" * 300, "[z-a]", "**/" * 30 + "*", "train.txt\n", "*.txt" + "{,x}" * 8,
    ]  # fmt: skip
    cases = [
        (pattern, "example_gen.pattern", lambda pattern=pattern: text_files.plan(tmp_path, pattern, "file", 4096))
        for pattern in patterns
    ]
    check("patterns", cases, ComponentError)


# -- artifacts ------------------------------------------------------------------------------------------------------------


def test_tfrecords(tmp_path):
    from components import beam_pipeline

    whole = write_texts(tmp_path / "whole", train=LINE * 300) / "Split-train" / "data_tfrecord-00000-of-00001"
    path = tmp_path / "Split-train" / whole.name
    path.parent.mkdir()

    def read(content):
        path.write_bytes(content)
        shard = beam_pipeline.Shard("train", 0, 1, str(path))
        return b"".join(example.text for batch in beam_pipeline.read_batches(shard) for example in batch)

    def accepted(name, text):
        return text == {"twice": LINE * 600, "empty": b""}.get(name)

    cases = [(name, str(path), lambda content=content: read(content)) for name, content in _of(whole, flips=30)]
    check("TFRecords", cases, ComponentError, accepted)


def test_names_of_shards(tmp_path):
    from components import beam_pipeline

    folder = tmp_path / "Split-train"
    names = ["00001-of-00001", "00000-of-00002", "00000-of-00000", "0-of-1", "a-of-b", "00000-of-00001.bak", ""]

    def read(name):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / f"data_tfrecord-{name}").touch()
        return beam_pipeline.list_shards(tmp_path, ["train"])

    cases = [(name, str(folder), lambda name=name: read(name)) for name in names]
    check("names of shards", cases, ComponentError, lambda name, result: False)


def test_vocabularies(tmp_path):
    from models.tokenizer import Tokenizer

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

    check("vocabularies", cases, ValueError, accepted)


def test_token_indexes(tmp_path):
    split = write_split(tmp_path / "Split-train", [[3, 5], [4, 1, 1], [7]])
    index = (split / "index.json").read_bytes()
    document = json.loads(index)
    changed = [
        {"format": 2}, {"format": None}, {"num_tokens": -1}, {"num_tokens": 10**30}, {"num_tokens": "21"}, {"num_tokens": 2.5},
        {"num_tokens": True}, {"shards": None}, {"shards": {}}, {"shards": [None]}, {"shards": [[]]}, {"shards": [{}]}, {"shards": []},
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
    check("token indexes", cases, ValueError, lambda name, ids: np.array_equal(ids, np.arange(21)))


def test_checkpoints(tmp_path, caplog):
    values = {"window": 3, "weights": [np.arange(50, dtype=np.float32), np.ones((4, 4), np.float32)]}
    Checkpoint(tmp_path).save("latest", **values)
    path = tmp_path / "latest.npz"

    def read(content):
        caplog.clear()
        path.write_bytes(content)
        return Checkpoint(tmp_path).load("latest"), caplog.text

    def accepted(name, found):
        loaded, said = found
        if loaded is None:
            return f"The checkpoint {path} is damaged" in said and "Traceback" not in said
        return loaded["window"] == 3 and all(map(np.array_equal, loaded["weights"], values["weights"]))

    cases = [("", "", lambda content=content: read(content)) for _, content in _of(path, flips=40)]
    check("checkpoints", cases, (), accepted)


def test_metadata(tmp_path):
    from pipeline.local_runner import LocalRunner
    from tests.pipeline.fake_components import chain
    from tests.pipeline.runner_world import run

    root, said = tmp_path / "root", []
    run(root, chain(root / "serving"))
    path, checksum = root / "metadata.sqlite", (root / "metadata.sqlite.sha256").read_bytes()
    executions = _executions(path)

    def read(content, with_checksum):
        said.clear()
        for file in root.glob("metadata.sqlite*"):
            file.unlink()
        path.write_bytes(content)
        if with_checksum:
            (root / "metadata.sqlite.sha256").write_bytes(checksum)
        with metadata_recovery.opened(root, said.append):
            pass
        return _executions(path), list(said)

    def accepted(name, found):
        rows, told = found
        return rows == executions and told and "was damaged" in told[0] and str(path) in told[0]

    contents = list(_of(path, flips=25))
    cases = [(name, str(path), lambda content=content: read(content, True)) for name, content in contents]
    check("metadata.sqlite", cases, (), accepted)
    # After a kill there is no checksum: what SQLite itself cannot see may stay, but nothing breaks.
    cases = [(name, str(path), lambda content=content: read(content, False)) for name, content in contents]
    check("metadata.sqlite of a killed run", cases, (), lambda name, found: len(found[0]) <= len(executions))
    assert LocalRunner


def _executions(path: Path) -> list:
    with contextlib.closing(sqlite3.connect(path)) as database:
        query = "SELECT e.id, t.name, last_known_state FROM Execution e JOIN Type t ON t.id = type_id ORDER BY e.id"
        return database.execute(query).fetchall()


def test_records_of_pushes(tmp_path):
    whole = json.dumps([{"version": 1, "digest": "ab", "rollback_of": None}, {"version": 2, "digest": "cd"}]).encode()

    def read(content):
        (tmp_path / push_record.RECORD).write_bytes(content)
        return push_record.read(tmp_path, [])

    contents = [*damaged(whole, 20, 8), *((repr(v), json.dumps(v).encode()) for v in (
        {"a": 1}, [1], [[]], [{}], [{"version": "1", "digest": ""}], [{"version": 10**30, "digest": "a"}], "x", 3, True,
    ))]  # fmt: skip
    cases = [(name, "", lambda content=content: read(content)) for name, content in contents]
    check(".pushes.json", cases, ComponentError, lambda name, pushes: isinstance(pushes, list))


# -- configuration --------------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
YAML = [
    BOMB, "- a", "7", "text", "trainer: 3", "trainer: [1]", "trainer: {epochs: [1]}", "trainer: {epochs: {a: 1}}", "trainer: {epochs: 1e999}",
    "trainer: {epochs: .nan}", "trainer: {epochs: 99999999999999999999999}", "trainer: {epochs: " + "9" * 5000 + "}", "trainer: {epochs: 1.5}",
    "trainer: {epochs: true}", "trainer: {epochs: 010}", "trainer: {epochs: 1:30}", "trainer: {epochs: 2001-01-01}", "trainer: {epochs: ''}",
    "trainer: {learning_rate: -.inf}", "trainer: {learning_rate: 0}", "trainer: {learning_rate: -1}", "trainer: {epochs: 3, epochs: 4}",
    "trainer: {}\ntrainer: {}", "? [a]\n: 1", "? {a: 1}\n: 1", "trainer: {? [a] : 1}", "trainer:\n\tepochs: 3", "trainer: {epochs: 3",
    "trainer: !!python/object:os.system {}", "trainer: !!python/object/apply:os.system ['true']", "!!python/name:os.system", "trainer: !foo {}",
    "trainer: {epochs: !!timestamp x}", "trainer: {epochs: !!binary x}", "trainer: {epochs: !!int x}", "trainer: {epochs: !!float x}",
    "trainer: !!set {epochs}", "trainer: !!omap [a: 1]", "trainer: {epochs: !!null x}", "trainer: {epochs: !!bool x}",
    "trainer: &a {epochs: *a}", "a: &a [*a]", "trainer: *nothing", "--- {}\n--- {}", "%YAML 9.9\n---\n{}", "\0", "trainer: \x07", "\ufeff\ufefftrainer: {}",
    "[" * 5000, "{a: " * 3000, "- " * 4000, "a" * 100_000, "? " * 3000, "trainer: {<<: 3}", "trainer: {<<: [1]}", "<<: {trainer: {epochs: x}}",
    "trainer: {no_such_key: 1}", "no_such_section: {a: 1}", "trainer: {" + "k" * 5000 + ": 1}", "x" * 5000 + ": {a: 1}",
    "model: {preset: [a]}", "model: {preset: {a: 1}}", "model: {preset: huge}", "example_gen: {dataset: 5}", "example_gen: {dataset: [a]}",
    "example_gen: {dataset: text_files}", "example_gen: {data_dir: /no/such/folder}", "example_gen: {data_dir: \"a\\0b\"}", "pipeline: {root: \"a\\0b\"}",
    "pipeline: {root: 3}", "pipeline: {root: []}", "pipeline: {serving_dir: \"\\0\"}", "beam: {args: text}", "beam: {args: [[a]]}",
    "beam: {args: [\"\\0\"]}", "evaluator: {rules: [1]}", "evaluator: {rules: {a: 1}}",
    "tuner: {space: [1]}", "tuner: {space: [{}]}", "tuner: {space: text}", "tuner: {enabled: true, space: [{name: nothing, kind: float, min: 0, max: 1}]}",
    "tuner: {enabled: true, space: [{name: dropout, kind: float, min: 1, max: 0}]}", "loss: {temperature_schedule: 3}",
    "loss: {temperature_schedule: {start: -1}}", "loss: {temperature_schedule: {begin: 1}}", "model: {tie_embeddings: true, output_bias: true}",
    "example_gen: {source_url: 'http://x'}", "example_gen: {source_sha256: zz}", "vocabulary: {max_size: 1}", "trainer: {replicas: 7}",
    "trainer: {" + ", ".join(f"k{i}: 1" for i in range(12_000)) + "}", "#" * (1 << 20) + "x",
]  # fmt: skip


def test_yaml_files(tmp_path):
    def read(number, text):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
        return config.load(path)

    def named(text):
        return "" if isinstance(text, str) and ":" in text and len(text) < 200 else ".yaml"

    texts = [*YAML, *OTHER_FILES.values(), "trainer: {epochs: 3}".encode("utf-16"), b"trainer: {epochs: \xff}"]
    cases = [(f"{n}: {t[:60]!r}", named(t), lambda n=n, t=t: read(n, t)) for n, t in enumerate(texts)]

    def accepted(name, found):  # nothing was asked for, or a value that is right as it stands
        return not found.changed or set(found.changed) <= {"trainer.epochs", "beam.args", "example_gen.source_sha256"}

    check("YAML files", cases, config.ConfigurationError, accepted)


def test_every_key_refuses_a_mapping_and_odd_numbers(tmp_path):
    path = tmp_path / "my.yaml"

    def read(key, value):
        section, name = key.split(".")
        path.write_text(f"{section}: {{{name}: {value}}}\n")
        return config.load(path)

    values = ("{a: {b: [1]}}", "[[[]]]", "-1e400")
    cases = [
        (f"{key}={value}", key, lambda key=key, value=value: read(key, value))
        for key in config.BUILT_IN
        for value in values
    ]
    check("values of keys", cases, config.ConfigurationError, lambda name, result: False)


def test_assignments():
    texts = [
        "", "=", "=3", "trainer", "trainer.epochs", ".=1", "..=1", "trainer.=1", ".epochs=1", "trainer.epochs=", "trainer.epochs=[", "trainer.epochs={",
        "trainer.epochs={[1]: 2}", "trainer.epochs=!!python/object:os.system {}", "trainer.epochs=&a [*a]", "trainer.epochs=" + "[" * 4000,
        "trainer.epochs=" + "9" * 5000, "trainer.epochs=-3", "trainer.epochs=0", "trainer.epochs=0x", "trainer.epochs=①", "trainer.epochs=\0",
        "trainer.learning_rate=nan", "trainer.learning_rate=.nan", "trainer.learning_rate=1e999", "trainer.learning_rate=0.1.2", "trainer epochs=3",
        "TRAINER.EPOCHS=3", "trainer.epochs.x=3", "model.preset=\0", "example_gen.data_dir=", "example_gen.data_dir=\0", "example_gen.data_dir=~nosuchuser/x",
        "pipeline.root=~nosuchuser/x", "pipeline.root=" + "n" * 5000, "pipeline.root=\0", "vocabulary.tokenizer=bpe", "beam.args=--runner=x",
        "trainer.initial_model=\0", "model.pretrained_embeddings=\0", "model.dropout=1", "model.units=0", "model.units=99999999999999999999",
    ]  # fmt: skip
    cases = [(text[:60], "", lambda text=text: config.load(None, [text])) for text in texts]

    def accepted(name, found):  # nothing is null, as in YAML; whether a folder can be made is found when it is made
        return not found.changed or name.startswith("pipeline.root=nnn")

    check("assignments", cases, config.ConfigurationError, accepted)


# -- word vectors ---------------------------------------------------------------------------------------------------------


def test_word_vectors(tmp_path):
    words, vectors = ["the", "of", "zebra"], np.arange(12, dtype=np.float32).reshape(3, 4)
    text = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, vectors, strict=True)).encode()
    binary = b"3 4\n" + b"".join(w.encode() + b" " + row.tobytes() for w, row in zip(words, vectors, strict=True))
    np.save(tmp_path / "whole.npy", vectors)
    array = (tmp_path / "whole.npy").read_bytes()
    formats = {"vectors.txt": b"3 4\n" + text, "vectors.bin": binary, "array.npy": array,
               "vectors.txt.gz": gzip.compress(text), "vectors.bin.gz": gzip.compress(binary)}  # fmt: skip

    def read(name, content):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "array.txt").write_text("\n".join(words) + "\n")
        return load_word_vectors(tmp_path / name, words, 4)

    contents = [(name, *case) for name, whole in formats.items() for case in damaged(whole, 10, 5)]
    contents += [("vectors.txt", repr(c[:40]), c) for c in (
        b"the 1 2 3\n", b"the 1 2 3 4 5\n", b"the a b c d\n", b"the nan 1 2 3\n", b"the 1e99 1 2 3\n", b"the 1 2 3 4\nthe 1 2 3 4\n",
        b"9999999999999999999999 4\n", b"4 99999999999999999999\n", b"-1 4\n", b"\xff\xfe\n", b"the 1 2 3 4\nof 1 2\n", b"1 4\n", b"0 4\n",
    )]  # fmt: skip
    contents += [("vectors.bin", repr(c), c) for c in (
        b"99999999999 4\n", b"3 99999999999\n", b"3 0\n", b"0 4\n", b"3 4", b"3 4\n" + b"x" * 5000, b"1 4\nthe " + b"\xff" * 16,
    )]  # fmt: skip
    for header in ("'descr': '|O'", "'descr': '<f4', 'shape': (10**9, 4)", "'descr': __import__('os')"):
        body = ("{" + header + ", 'fortran_order': False, 'shape': (3, 4), }\n").encode()
        contents.append(
            ("array.npy", header, b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + b"\0" * 48)
        )
    cases = [
        (f"{file}: {name}", str(tmp_path / file).removesuffix(".gz"), lambda f=file, c=content: read(f, c))
        for file, name, content in contents
    ]

    def accepted(name, found):
        return len(found[0]) <= 3 and found[1].shape == (len(found[0]), 4) and np.isfinite(found[1]).all()

    check("word vectors", cases, ValueError, accepted)


# -- requests -------------------------------------------------------------------------------------------------------------

SPECS = {
    "prompt": tensors.TensorSpec("DT_STRING", (None,)),
    "max_words": tensors.TensorSpec("DT_INT32", (None,)),
    "temperature": tensors.TensorSpec("DT_FLOAT", (None,)),
}
VALUES = [
    "null", "true", "-1", "2147483648", "1e400", "-1e400", "NaN", "Infinity", "1e39", "9" * 400, '"a"', '"\\ud800"', '"\\u0000"', "[]", "[[]]", "[[1], 2]",
    "[1, [2]]", "{}", '{"b64": 1}', '{"b64": "*"}', '{"b64": "YQ"}', '{"b64": "YQ==", "c": 1}', "[" * 60 + "]" * 60, "[null]", '["a", 1]', "[[], [1]]",
]  # fmt: skip


def test_request_bodies():
    def ask(body):
        return tensors.to_tensors(tensors.parse(body), SPECS)

    row = {"prompt": '"a"', "max_words": "1", "temperature": "1.0"}

    def instance(name, value):
        return "{" + ", ".join(f'"{key}": {value if key == name else good}' for key, good in row.items()) + "}"

    texts = [f'{{"instances": [{instance(name, value)}]}}' for name in row for value in VALUES]
    texts += [f'{{"inputs": {instance(name, value)}}}' for name in row for value in VALUES]
    texts += [f'{{"instances": {value}}}' for value in VALUES] + [f'{{"inputs": {value}}}' for value in VALUES] + VALUES
    texts += [
        '{"instances": [{}]}',
        '{"a": 1}',
        "{",
        '{"instances"',
        '{"instances": [1,]}',
        '{"instances": [1] "a"}',
        "[" * 100_000,
        '{"a":' * 50_000,
    ]
    bodies_ = [text.encode() for text in texts] + list(OTHER_FILES.values()) + [b'{"instances": ["\xff"]}']
    cases = [(str(body[:80]), "", lambda body=body: ask(body)) for body in bodies_]

    def accepted(name, found):
        return all(tensor.shape[0] >= 0 and tensor.ndim == 1 for tensor in found[1].values())

    check("request bodies", cases, RequestError, accepted)


def test_compressed_request_bodies():
    whole = gzip.compress(b'{"instances": ["a"]}' * 50)
    bombs = {
        "a bomb": gzip.compress(b" " * 50_000_000, 9),
        "many members": gzip.compress(b"") * 2000,
        "two bombs": gzip.compress(b" " * 900_000, 9) * 40,
    }
    contents = [*damaged(whole, 20, 10), *bombs.items()]
    cases = [(name, "", lambda content=content: bodies.decompress(content, 1 << 20)) for name, content in contents]
    check("compressed bodies", cases, RequestError, lambda name, plain: len(plain) <= 1 << 20)


def test_there_were_as_many_cases_as_promised():
    print(json.dumps(tried, indent=1))
    if len(tried) >= 18:  # where all tests of this file ran
        assert sum(tried.values()) >= 300


def _of(path: Path, flips: int) -> list[tuple[str, bytes]]:
    return list(damaged(path.read_bytes(), flips, 10))
