"""Running ExampleGen as the runner does, and reading what it wrote independently of the code under test."""

from collections import namedtuple
from pathlib import Path

import pytest

from components.base import Context
from components.example_gen.component import ExampleGen

Record = namedtuple("Record", "document position text")
Generated = namedtuple("Generated", "folder figures")


@pytest.fixture
def example_gen(tmp_path):
    """Makes the component with the keywords as parameters; small chunks and file: addresses are allowed."""
    return lambda **parameters: ExampleGen(ExampleGen.Parameters.model_construct(**parameters))


@pytest.fixture
def generate(tmp_path, example_gen):
    """Executes the component with the keywords as parameters; returns the output folder and the figures."""

    def execute(**parameters) -> Generated:
        run = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        (run / "examples").mkdir(parents=True)
        figures = example_gen(**parameters).execute({}, {"examples": run / "examples"}, Context("test", run / "work"))
        return Generated(run / "examples", figures)

    return execute


@pytest.fixture
def read_split():
    """Reads a split's records in shard order."""

    def read(folder: Path, split: str) -> list[Record]:
        import tensorflow as tf

        records = []
        for path in sorted((folder / f"Split-{split}").iterdir()):
            for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                feature = tf.train.Example.FromString(serialized).features.feature
                document = feature["document"].bytes_list.value[0].decode("utf-8", "surrogateescape")
                position, text = feature["position"].int64_list.value[0], feature["text"].bytes_list.value[0]
                records.append(Record(document, position, text))
        return records

    return read


@pytest.fixture
def write_files(tmp_path):
    """Writes {name: bytes} below a fresh folder."""

    def write(files: dict[str, bytes]) -> Path:
        folder = tmp_path / f"source-{len(list(tmp_path.glob('source-*')))}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder

    return write
