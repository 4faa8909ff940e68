"""Fixtures of the engines' tests: a corpus, the embedded runner's outputs for it, and a trained model."""

import random

import pytest

from tests.components.evaluator.world import World
from tests.distributed.data_chain import DATA_COMPONENTS, EMBEDDED, contents, of_corpus, run


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Texts of several chunks, with lines that are repeated, in two splits, blank, and bytes that are not UTF-8."""
    folder, generator = tmp_path_factory.mktemp("corpus"), random.Random(1)
    words = [f"wörd{number}" for number in range(3000)]
    for name, lines in (("train", 12_000), ("valid", 1200), ("test", 1000)):
        rows = [generator.choices(words, k=generator.randrange(12)) for _ in range(lines)]
        text = "\n".join(["the same line", *map(" ".join, rows), "the same line", ""]).encode()
        (folder / f"{name}.txt").write_bytes(text + b"caf\xe9\n")
    return folder


@pytest.fixture(scope="session")
def expected(corpus, tmp_path_factory):
    """The embedded runner's outputs for the corpus."""
    root = tmp_path_factory.mktemp("embedded")
    run(root, EMBEDDED, of_corpus(corpus))
    files = contents(root)
    assert {name.partition("/")[0] for name in files} == DATA_COMPONENTS
    assert sum("ExampleGen/examples/Split-train" in name for name in files) > 4
    return files


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))
