"""Fuzzes the readers of what people and clients write: the configuration, texts, word vectors, requests, artifacts.

    python -m tests.faults.fuzz --minutes 60 [--seed 1]

Each round gives every reader some hundred inputs, drawn by Hypothesis from the round's seed: structured ones, and good
ones that are damaged. Within a few seconds a reader must give a result that its rules allow, or its own error with a
message. Anything else is a failure, which is printed in its smallest form with its seed, and ends the command with 1.
"""

import argparse
import collections
import gzip
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import yaml
from hypothesis import strategies as st

from components.artifacts import evaluation, model_run, statistics
from components.base import ComponentError
from components.example_gen import text_files
from models.text.word_vectors import load_word_vectors
from pipeline import config
from pipeline.config import resolve
from pipeline.server import tensors
from pipeline.server.errors import RequestError
from tests.components.artifacts import samples
from tests.faults.test_hostile_requests import SPECS

EXAMPLES = 100  # inputs of each reader in a round
SECONDS = 5  # for one input
LONGEST_MESSAGE = 2500  # characters
WORDS = ["the", "of", "zebra"]

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20),
    st.sampled_from(["yes", "010", "1:30", "~", "<<", "*a", "&a", "!!int 3", "null", "NaN", "1e400", "$HOME"]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4), max_leaves=8
)


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """`whole` with some of its bytes cut out, replaced, repeated or inserted."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        content[start:end] = draw(st.binary(max_size=20) | st.just(bytes(content[start:end]) * 3))
    return bytes(content)


@st.composite
def settings_files(draw) -> bytes:
    """A configuration with values of every kind, for known and unknown keys; or a damaged one."""
    keys = draw(st.lists(st.sampled_from(sorted(resolve.BUILT_IN)) | st.just("trainer.nothing"), max_size=4))
    found: dict = collections.defaultdict(dict)
    for key in keys:
        section, _, name = key.partition(".")
        found[section][name] = draw(values)
    return draw(damaged(yaml.safe_dump(dict(found), allow_unicode=True).encode()))


@st.composite
def requests(draw) -> bytes:
    """A request for the signature `SPECS`; or a damaged one."""
    row = {name: draw(st.sampled_from(["a", 1, 0.5]) | values) for name in SPECS}
    document = draw(st.sampled_from([{"instances": [row]}, {"inputs": {n: [v] for n, v in row.items()}}, row]))
    return draw(damaged(json.dumps(document).encode()))


def read_settings(content: bytes, folder: Path) -> None:
    (folder / "settings.yaml").write_bytes(content)
    try:
        config.load(folder / "settings.yaml")
    except config.ConfigurationError as error:
        _check_message(error)


def read_assignment(text: str, folder: Path) -> None:
    try:
        config.load(None, [text])
    except config.ConfigurationError as error:
        _check_message(error)


def read_text(content: bytes, folder: Path) -> None:
    for split in ("valid", "test"):
        (folder / f"{split}.txt").write_bytes(b"a good line\n" * 5)
    (folder / "train.txt").write_bytes(content)
    try:
        chunks = text_files.plan(folder, "*.txt", "file", 4096, [])
        runs = [run for chunk in chunks for _, run in chunk.routed() if run.document == "train.txt"]
    except ComponentError as error:
        return _check_message(error)
    plain = b"\0" not in content and not content.startswith((b"\x1f\x8b", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    if plain:  # nothing is lost: the lines read are the file's, except for line ends
        assert b"".join(b"".join(run.text.split()) for run in runs) == b"".join(content.split())


def read_vectors(name: str) -> Callable[[bytes, Path], None]:
    def read(content: bytes, folder: Path) -> None:
        (folder / name).write_bytes(content)
        (folder / "vectors.txt").touch()
        if name.endswith(".npy"):
            (folder / "vectors.txt").write_text("\n".join(WORDS))
        try:
            ids, vectors = load_word_vectors(folder / name, WORDS, 4)
        except ValueError as error:
            return _check_message(error)
        assert vectors.shape == (len(ids), 4) and np.isfinite(vectors).all()

    return read


def read_request(content: bytes, folder: Path) -> None:
    try:
        _, found = tensors.to_tensors(tensors.parse(content), SPECS)
    except RequestError as error:
        return _check_message(error)
    assert all(tensor.ndim == 1 for tensor in found.values())


def read_document(document) -> Callable[[bytes, Path], None]:
    def read(content: bytes, folder: Path) -> None:
        (folder / document.file).write_bytes(content)
        try:
            found = document.read(folder)
        except ComponentError as error:
            return _check_message(error)
        document.write(folder, found)  # what is accepted is complete

    return read


def _check_message(error: Exception) -> None:
    assert 0 < len(str(error)) <= LONGEST_MESSAGE and "Traceback" not in str(error), str(error)[:500]


def _readers() -> dict[str, tuple[st.SearchStrategy, Callable]]:
    """Returns name -> the inputs to draw, and the function that reads them in its own folder."""
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    text = "".join(f"{w} {' '.join(map(str, row))}\n" for w, row in zip(WORDS, rows, strict=True)).encode()
    binary = b"3 4\n" + b"".join(w.encode() + b" " + row.tobytes() for w, row in zip(WORDS, rows, strict=True))
    with tempfile.TemporaryFile() as file:
        np.save(file, rows)
        file.seek(0)
        array = file.read()
    lines = "Übung macht den Meister .\n".encode() * 40
    texts = damaged(lines) | damaged(gzip.compress(lines)) | damaged(lines.decode().encode("utf-16")) | st.binary()
    keys = st.sampled_from(sorted(resolve.BUILT_IN)) | st.text(max_size=30)
    assignments = st.tuples(keys, scalars.map(str) | values.map(repr)).map(lambda pair: f"{pair[0]}={pair[1]}")
    vectors = {"vectors.txt": b"3 4\n" + text, "vectors.txt.gz": gzip.compress(text), "vectors.bin": binary,
               "vectors.npy": array}  # fmt: skip
    documents = {
        statistics.STATISTICS: samples.split_statistics("eval"),
        model_run.HISTORY: {"steps_per_epoch": 9, "best_epoch": 1, "epochs": [samples.epoch(1)]},
        evaluation.EVALUATION: samples.evaluation(),
    }
    return {
        "configuration file": (settings_files(), read_settings),
        "--set": (assignments, read_assignment),
        "text": (texts, read_text),
        "request": (requests(), read_request),
        **{f"word vectors, {name}": (damaged(content), read_vectors(name)) for name, content in vectors.items()},
        **{of.file: (damaged(json.dumps(value).encode()), read_document(of)) for of, value in documents.items()},
    }


READERS = _readers()


def fuzz(name: str, seed: int, examples: int = EXAMPLES) -> None:
    """Gives a reader inputs that are drawn from a seed; raises its failure for the smallest such input."""
    strategy, read = READERS[name]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples, database=None, deadline=SECONDS * 1000, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def each(content):
        with tempfile.TemporaryDirectory() as folder:
            read(content, Path(folder))

    each()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=1.0, help="of processor time")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    options = parser.parse_args(arguments)
    spent: collections.Counter = collections.Counter()
    seed, failed = options.seed, []
    while sum(spent.values()) < options.minutes * 60:
        for name in READERS:
            began = time.process_time()
            try:
                fuzz(name, seed)
            except Exception as error:
                failed.append(f"{name}, seed {seed}: {type(error).__name__}: {error}")
                print(failed[-1], *getattr(error, "__notes__", []), sep="\n", file=sys.stderr)
            spent[name] += time.process_time() - began
        seed += 1
    rounds = seed - options.seed
    for name, seconds in spent.items():
        print(f"{name:30} {rounds * EXAMPLES:9,} inputs {seconds / 60:6.1f} processor minutes")
    print(f"seeds {options.seed} to {seed - 1}, {math.fsum(spent.values()) / 60:.1f} minutes, {len(failed)} failures")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
