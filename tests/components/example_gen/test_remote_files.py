"""Texts at a URL: a scheme that the tests register with Beam returns the bytes of a local folder."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.localfilesystem import LocalFileSystem

from components.base import ComponentError, Context
from components.example_gen import corpora, executor, remote_files, text_files
from components.example_gen.component import ExampleGen
from components.example_gen.folder_listing import list_folder

SCHEME = "shelf://"


class Shelf(LocalFileSystem):
    """Reads `shelf://PATH` as the local file PATH."""

    opened: list[str] = []

    @classmethod
    def scheme(cls) -> str:
        return SCHEME.partition(":")[0]

    def split(self, path):
        head, tail = super().split(path.removeprefix(SCHEME))
        return SCHEME + head, tail

    def _list(self, dir_or_prefix):
        for entry in super()._list(dir_or_prefix.removeprefix(SCHEME)):
            entry.path = SCHEME + entry.path
            yield entry

    def metadata(self, path):
        return super().metadata(path.removeprefix(SCHEME))

    def open(self, path, mime_type="application/octet-stream", compression_type=CompressionTypes.AUTO):
        self.opened.append(path)
        return super().open(path.removeprefix(SCHEME), mime_type, compression_type)


FILES = {
    "train/a.txt": b"\xef\xbb\xbfone line\r\nand another\n" * 5000,
    "train/b.txt.gz": gzip.compress(b"packed words\n" * 800),
    "train/wide.txt": "sixteen bits\n".encode("utf-16"),
    "train/.hidden.txt": b"not to be read\n",
    "valid.txt": b"for choosing\n" * 30,
    "test.txt": b"for testing\n" * 30,
    "notes.md": b"not matched\n",
}


def parameters(data_dir: str, **others) -> ExampleGen.Parameters:
    return ExampleGen.Parameters(dataset="text_files", data_dir=data_dir, chunk_bytes=65_536, **others)


def run(folder: Path, data_dir: str) -> dict[str, bytes]:
    """The shards that ExampleGen writes, by name."""
    examples = folder / "examples"
    examples.mkdir(parents=True)
    executor.execute({}, {"examples": examples}, parameters(data_dir), Context("test", folder / "work"))
    return {str(path.relative_to(examples)): path.read_bytes() for path in examples.rglob("*") if path.is_file()}


@pytest.fixture
def texts(write_files) -> Path:
    return write_files(FILES)


def test_the_shards_are_those_of_the_local_folder(tmp_path, texts):
    local = run(tmp_path / "local", str(texts))
    Shelf.opened.clear()
    assert run(tmp_path / "remote", f"{SCHEME}{texts}/") == local
    assert {Path(path).name for path in Shelf.opened} == {"a.txt", "b.txt.gz", "wide.txt", "valid.txt", "test.txt"}
    assert len([name for name in local if name.startswith("Split-train/")]) > 1  # cut, so that offsets were sought


def test_hidden_names_are_left_out_and_names_are_relative(texts):
    listing = list_folder(f"{SCHEME}{texts}")
    assert [name for name, _ in listing.files] == sorted(set(FILES) - {"train/.hidden.txt"})
    assert dict(listing.files)["valid.txt"] == f"{SCHEME}{texts}/valid.txt"


def test_the_fingerprint_follows_the_stamps_and_reads_no_text(texts):
    settings = parameters(f"{SCHEME}{texts}")
    Shelf.opened.clear()
    before = corpora.fingerprint(settings)
    assert corpora.fingerprint(settings) == before and not Shelf.opened
    os.utime(texts / "valid.txt", (1, 1))
    assert corpora.fingerprint(settings) != before


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere://bucket/texts", "'nowhere://bucket/texts' cannot be listed: .*file system|filesystem"),
        (f"{SCHEME}/no/such/folder", "there is no file below shelf:///no/such/folder"),
        (f"{SCHEME}/texts/*", r"found '\*' .* example_gen.pattern"),
    ],
)
def test_a_url_that_cannot_be_used_is_named(url, message):
    with pytest.raises(ComponentError, match=f"(?i)example_gen.data_dir: .*({message})|({message})"):
        corpora.check_dataset("text_files", url)


def test_a_pattern_that_matches_nothing_names_what_is_there(texts):
    with pytest.raises(ComponentError, match=r"matches no file .*notes\.md, test\.txt"):
        text_files.plan(f"{SCHEME}{texts}", "*.csv", "file", 65_536, [])


def test_a_file_that_changes_while_it_is_read_is_refused(texts):
    chunks = text_files.plan(f"{SCHEME}{texts}", "**/*.txt", "file", 65_536, [])
    (texts / "valid.txt").write_bytes(b"another text\n" * 3)
    with pytest.raises(ComponentError, match="shelf://.*valid.txt was changed while it was read"):
        executor.file_stamp.check_unchanged((piece.path, piece.stamp) for chunk in chunks for piece in chunk.pieces)


def test_a_file_that_is_gone_is_named(texts):
    with pytest.raises(ComponentError, match=r"shelf://.*gone\.txt cannot be read"):
        text_files.whole_file(f"{SCHEME}{texts}/gone.txt", "gone.txt", blocks=False)
    with pytest.raises(OSError):
        remote_files.open_file(f"{SCHEME}{texts}/gone.txt")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["example_gen.dataset=text_files", "example_gen.data_dir=nowhere://b/t"], "nowhere://b/t.* cannot be listed"),
        (["example_gen.dataset=penn_treebank", "example_gen.data_dir=gs://b/t"], "expected a local folder"),
        (["model.pretrained_embeddings=gs://b/vectors"], "local or mounted path"),
    ],
)
def test_the_command_refuses_before_anything_is_written(tmp_path, assignments, message):
    sets = [part for value in (*assignments, f"pipeline.root={tmp_path / 'root'}") for part in ("--set", value)]
    refused = subprocess.run(
        [sys.executable, "-m", "pipeline.run", "--local", *sets], capture_output=True, text=True, timeout=120
    )
    assert refused.returncode == 2 and not (tmp_path / "root").exists()
    assert re.search(message, refused.stderr), refused.stderr


def test_a_root_at_a_url_is_refused():
    refused = subprocess.run(
        [sys.executable, "-m", "pipeline.run", "--local", "--set", "pipeline.root=gs://bucket/output"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert refused.returncode == 2 and "pipeline.root" in refused.stderr and "mounted path" in refused.stderr
