"""The component as the runner executes it: real Beam, real TFRecords."""

import gzip
import hashlib
import io
import re
import zipfile
from pathlib import Path

import pytest

from components.base import ComponentError
from components.example_gen import python_library
from components.example_gen.lines import MAX_TEXT_BYTES


def _text(records) -> bytes:
    return b"".join(record.text for record in records)


def test_penn_treebank_keeps_every_line_in_order(ptb_dir, generate, read_split):
    generated = generate(dataset="penn_treebank", data_dir=str(ptb_dir))
    lines = {split: generated.figures[f"{split}_lines"] for split in ("train", "eval", "test")}
    assert lines == {"train": 42068, "eval": 3370, "test": 3761}
    for split, word in (("train", "train"), ("eval", "valid"), ("test", "test")):
        records = read_split(generated.folder, split)
        assert _text(records) == (ptb_dir / f"ptb.{word}.txt").read_bytes()
        assert max(len(record.text) for record in records) <= MAX_TEXT_BYTES
        assert {record.document for record in records} == {f"ptb.{word}.txt"}
    assert "warnings" not in generated.figures


def test_the_same_files_as_text_files_give_the_same_text(ptb_dir, generate, read_split):
    generated = generate(dataset="text_files", data_dir=str(ptb_dir), pattern="*.txt", chunk_bytes=500_000)
    assert generated.figures["shards"] == 13
    assert _text(read_split(generated.folder, "train")) == (ptb_dir / "ptb.train.txt").read_bytes()
    assert generated.figures["train_documents"] == 1


def test_shards_are_named_by_their_place_and_nothing_else_is_left(write_files, generate):
    folder = write_files({"train.txt": b"line\n" * 100, "valid.txt": b"v\n", "test.txt": b"t\n"})
    output = generate(dataset="text_files", data_dir=str(folder), chunk_bytes=50).folder
    assert sorted(path.name for path in output.iterdir()) == ["Split-eval", "Split-test", "Split-train"]
    names = sorted(path.name for path in (output / "Split-train").iterdir())
    assert names == [f"data_tfrecord-{place:05d}-of-00010" for place in range(10)]
    assert [path.name for path in (output / "Split-eval").iterdir()] == ["data_tfrecord-00000-of-00001"]
    assert not any((output.parent / "work").iterdir())


@pytest.mark.parametrize("chunk_bytes", [40, 1000, 10**7])
def test_held_out_lines_follow_the_training_text(write_files, generate, read_split, chunk_bytes):
    lines = [b"%04d \xff\n" % number for number in range(400)]
    folder = write_files({"a.txt": b"".join(lines[:150]), "b.txt.gz": gzip.compress(b"".join(lines[150:]))})
    output = generate(dataset="text_files", data_dir=str(folder), chunk_bytes=chunk_bytes).folder
    assert _text(read_split(output, "train")) == b"".join(lines[:360])
    assert _text(read_split(output, "eval")) == b"".join(lines[360:380])
    assert _text(read_split(output, "test")) == b"".join(lines[380:])
    assert [record.position for record in read_split(output, "test")][0] == 230


def test_a_gzip_file_is_written_as_shards_of_the_usual_size(write_files, generate, read_split):
    text = b"a line of text\n" * 200_000
    folder = write_files({"train.txt.gz": gzip.compress(text), "valid.txt": b"v\n", "test.txt": b"t\n"})
    generated = generate(dataset="text_files", data_dir=str(folder), chunk_bytes=1_000_000)
    shards = sorted((generated.folder / "Split-train").iterdir())
    assert len(shards) == 3 and max(shard.stat().st_size for shard in shards) < 1_400_000
    assert _text(read_split(generated.folder, "train")) == text


def test_workers_in_other_processes_write_the_same_shards(write_files, generate):
    text = b"".join(b"line %d\n" % number for number in range(5000))
    folder = write_files({"train.txt": text, "valid.txt": b"v\n", "test.txt": b"t\n"})
    parameters = {"dataset": "text_files", "data_dir": str(folder), "chunk_bytes": 10_000}
    single = generate(**parameters).folder
    processes = ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    several = generate(**parameters, beam_args=processes).folder
    contents = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*tfrecord*")}
        for folder in (single, several)
    ]
    assert contents[0] == contents[1] and len(contents[0]) > 4


def test_python_docs_need_nothing_and_keep_their_documents_whole(generate, read_split):
    generated = generate()
    texts = dict(python_library.documents(python_library.library_folder()))
    divided = {split: read_split(generated.folder, split) for split in ("train", "eval", "test")}
    for split, records in divided.items():
        names = list(dict.fromkeys(record.document for record in records))
        assert names == [name for name in texts if name in set(names)], "documents in order"
        assert _text(records) == "".join(texts[name] for name in names).encode()
        assert generated.figures[f"{split}_documents"] == len(names)
    assert sum(generated.figures[f"{split}_documents"] for split in divided) == len(texts)
    assert 200_000 < len("".join(texts.values()).split()) < 400_000
    modules, lines, sizes = ({split: kind(records) for split, records in divided.items()} for kind in (
        lambda records: {python_library.module(record.document) for record in records},
        lambda records: {line.strip() for line in _text(records).splitlines()} - {b""},
        lambda records: len(_text(records)),
    ))  # fmt: skip
    for held_out in ("eval", "test"):
        assert not modules[held_out] & (modules["train"] | modules[{"eval": "test", "test": "eval"}[held_out]])
        assert not lines[held_out] & lines["train"]
        assert 0.05 <= sizes[held_out] / sum(sizes.values()) < 0.1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.txt": b"t\n", "valid.txt": b"\n\n", "test.txt": b"t\n"}, r"eval split .* its 2 line\(s\) are blank"),
        ({"train.txt": b"t\n", "valid.txt": b"v\n", "test.txt.gz": gzip.compress(b"")}, "test split .* nothing"),
        ({"book.txt": b"only\ntwo\n"}, "2 line.*too few"),
    ],
)
def test_an_empty_split_is_an_error_that_says_why(write_files, generate, files, message):
    with pytest.raises(ComponentError, match=message):
        generate(dataset="text_files", data_dir=str(write_files(files)))


def test_a_worker_that_meets_a_damaged_file_names_it(write_files, generate):
    damaged = gzip.compress(bytes(range(256)) * 1000)[:-50]
    folder = write_files({"train.txt.gz": damaged, "valid.txt": b"v\n", "test.txt": b"t\n"})
    with pytest.raises(ComponentError, match=r"^\S*train.txt.gz: the gzip file is damaged"):
        generate(dataset="text_files", data_dir=str(folder))


def _wiki_archive(path: Path) -> str:
    dummy = Path(__file__).parents[3] / "components/example_gen/datasets/wikitext2/dummy_data"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in dummy.iterdir():
            archive.write(file, f"wikitext-2/{file.name}")
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def test_wikitext_is_read_from_an_address_with_a_checksum(tmp_path, generate, read_split):
    archive = tmp_path / "wikitext-2-v1.zip"
    checksum = _wiki_archive(archive)
    generated = generate(dataset="wikitext2", source_url=archive.as_uri(), source_sha256=checksum)
    documents = [record.document for record in read_split(generated.folder, "train")]
    assert documents == [f"wiki.train.tokens:{line}" for line in (1, 10, 18, 26)]
    assert len(generated.figures["warnings"]) == 3, "dummy files are not the published ones"
    with pytest.raises(ComponentError, match=f"example_gen.source_sha256: .*{checksum}, not {'0' * 64}"):
        generate(dataset="wikitext2", source_url=archive.as_uri(), source_sha256="0" * 64)


def test_an_address_that_does_not_answer_says_how_to_supply_the_files(tmp_path, generate):
    url = (tmp_path / "gone.zip").as_uri()
    with pytest.raises(ComponentError, match=f"{re.escape(url)} cannot be reached.*example_gen.data_dir"):
        generate(dataset="wikitext103", source_url=url, source_sha256="0" * 64)
    with pytest.raises(ComponentError, match="cannot be reached"):
        generate(dataset="wikitext103", source_url="http://exa\tmple.org/x.zip", source_sha256="0" * 64)


def test_penn_treebank_keeps_invalid_bytes_and_warns_of_other_files(write_files, generate, read_split):
    train = b" caf\xe9 <unk> N \n" * 3 + b" the end"
    folder = write_files({"ptb.train.txt": train, "ptb.valid.txt": b"v\n", "ptb.test.txt": b"t\n"})
    generated = generate(dataset="penn_treebank", data_dir=str(folder))
    assert _text(read_split(generated.folder, "train")) == train
    assert any("ptb.train.txt" in warning and "checksum" in warning for warning in generated.figures["warnings"])


def test_a_changed_source_is_prepared_again(write_files, generate, read_split):
    folder = write_files({"ptb.train.txt": b"old\n", "ptb.valid.txt": b"v\n", "ptb.test.txt": b"t\n"})
    generate(dataset="penn_treebank", data_dir=str(folder))
    (folder / "ptb.train.txt").write_bytes(b"new\n")
    assert _text(read_split(generate(dataset="penn_treebank", data_dir=str(folder)).folder, "train")) == b"new\n"
