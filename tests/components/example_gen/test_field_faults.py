"""Inputs that people meet: other encodings, links, backups, archives, files that change or are not files."""

import gzip
import io
import json
import os
import socket
import tarfile
import threading
import time

import pytest

from components.base import ComponentError
from components.example_gen import text_encoding, text_files

LINES = "".join(f"{number} Zwölf Боксеров 漢字 😀\n" for number in range(100))
OTHERS = {"valid.txt": b"v w\n" * 5, "test.txt": b"t u\n" * 5}


def _text(records) -> bytes:
    return b"".join(record.text for record in records)


def _train(generate, read_split, folder, **parameters) -> bytes:
    return _text(read_split(generate(dataset="text_files", data_dir=str(folder), **parameters).folder, "train"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_byte_order_mark_says_how_a_text_is_decoded(write_files, generate, read_split, encoding, pack):
    mark = "\ufeff" if encoding.endswith("-be") else ""
    folder = write_files({"train.txt": pack((mark + LINES).encode(encoding)), **OTHERS})
    assert _train(generate, read_split, folder, chunk_bytes=700) == LINES.encode()


@pytest.mark.parametrize("text", ["plain English words\n" * 40, "тихий дом у моря\n" * 40, "नमस्ते दुनिया\n" * 40])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_without_a_mark_text_of_two_bytes_a_letter_is_refused_by_name(write_files, text, encoding):
    folder = write_files({"train.txt": text.encode(encoding), **OTHERS})
    with pytest.raises(ComponentError, match="train.txt holds .*byte-order mark. Convert it to UTF-8"):
        text_files.plan(folder, "*", "file", 1000, [])


def test_a_stray_nul_passes_and_is_reported(write_files, generate, read_split):
    train = b"good text\n" * 50 + b"a \0 b\n"
    generated = generate(dataset="text_files", data_dir=str(write_files({"train.txt": train, **OTHERS})))
    assert _text(read_split(generated.folder, "train")) == train
    sources = json.loads((generated.folder / "sources.json").read_text())
    assert sources["files"] == {"train.txt": {"bytes": 506, "invalid_bytes": 0, "nul_bytes": 1}}


@pytest.mark.parametrize("chunk_bytes", [30, 10**6])
def test_invalid_bytes_are_counted_by_file_whatever_the_chunks(write_files, generate, chunk_bytes):
    bad = b"caf\xe9 au lait\n" * 20
    folder = write_files({"train.1.txt": b"good\n" * 99, "train.2.txt": bad, "valid.txt": b"\n\xff\n" * 2, **OTHERS})
    (folder / "valid.txt").write_bytes(b"v\n\n\xff\xff\n")
    generated = generate(dataset="text_files", data_dir=str(folder), document="block", chunk_bytes=chunk_bytes)
    assert json.loads((generated.folder / "sources.json").read_text())["files"] == {
        "valid.txt": {"bytes": 6, "invalid_bytes": 2, "nul_bytes": 0},
        "train.2.txt": {"bytes": len(bad), "invalid_bytes": 20, "nul_bytes": 0},
    }


def test_utf16_that_is_cut_short_is_named(write_files, generate):
    folder = write_files({"train.txt": LINES.encode("utf-16")[:-1], **OTHERS})
    with pytest.raises(ComponentError, match="train.txt begins with the byte-order mark of utf-16 .*cut short"):
        generate(dataset="text_files", data_dir=str(folder))


@pytest.mark.parametrize("chunk_bytes", [1, 8, 50, 10**6])
@pytest.mark.parametrize("document", ["file", "block"])
def test_a_carriage_return_alone_ends_a_line(write_files, generate, read_split, chunk_bytes, document):
    text = b"".join(b"line %d\r" % number + b"\r\n" * (number % 7 == 0) for number in range(100))
    folder = write_files({"train.txt": text, **OTHERS})
    generated = generate(dataset="text_files", data_dir=str(folder), chunk_bytes=chunk_bytes, document=document)
    assert _text(read_split(generated.folder, "train")) == text
    assert generated.figures["train_lines"] == 115
    unsplit = write_files({"book.txt": b"".join(b"%d\r" % number for number in range(100))})
    held = generate(dataset="text_files", data_dir=str(unsplit), chunk_bytes=chunk_bytes, document=document)
    assert [held.figures[f"{split}_lines"] for split in ("train", "eval", "test")] == [90, 5, 5]


def test_a_line_end_of_two_bytes_is_never_cut_in_two(write_files, monkeypatch):
    monkeypatch.setattr(text_files, "_READ_BYTES", 7)
    text = b"".join(b"x" * (number % 13) + b"\r\n" for number in range(200))
    folder = write_files({"train.txt": text, **OTHERS})
    for chunk_bytes in range(1, 30):
        chunks = text_files.plan(folder, "*", "file", chunk_bytes, [])
        runs = [run for chunk in chunks for split, run in chunk.routed() if split == "train"]
        assert [line for run in runs for line in run.lines] == text.splitlines(keepends=True)
        assert sum(piece.num_lines or piece.count_lines() for chunk in chunks for piece in chunk.pieces) == 210


def test_linked_folders_are_read_and_loops_end(write_files, generate, read_split):
    outside = write_files({"valid.txt": b"outside\n" * 5})
    folder = write_files({"train/a.txt": b"inside\n" * 5, "test.txt": b"t\n"})
    (folder / "valid").symlink_to(outside)
    (folder / "train" / "loop").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "again").symlink_to(outside)
    generated = generate(dataset="text_files", data_dir=str(folder))
    lines = {split: generated.figures[f"{split}_lines"] for split in ("train", "eval", "test")}
    assert lines == {"train": 5, "eval": 5, "test": 1}
    assert [record.document for record in read_split(generated.folder, "eval")] == ["again/valid.txt"]
    assert (generated.figures["outside_files"], generated.figures["skipped_files"]) == (1, 3)
    sources = json.loads((generated.folder / "sources.json").read_text())
    assert sources["outside"] == 1
    assert sources["skipped"]["self"] == "a loop of links"
    assert {sources["skipped"][name] for name in ("train/loop", "valid")} == {
        "a folder that is already read under another name"
    }


def test_entries_that_are_not_files_are_skipped_by_name_and_counted(write_files, generate, tmp_path, monkeypatch):
    folder = write_files({"train.txt": b"text\n" * 9, **OTHERS, "secret.txt": b"secret\n"})
    os.mkfifo(folder / "pipe.txt")
    (folder / "gone.txt").symlink_to(folder / "nowhere")
    (folder / "zero.txt").symlink_to("/dev/zero")
    access = os.access  # root may read everything: only the answer to this question differs
    monkeypatch.setattr(os, "access", lambda path, mode: "secret" not in str(path) and access(path, mode))
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(folder)
        server.bind("socket.txt")
        generated = generate(dataset="text_files", data_dir=str(folder))
    assert generated.figures["skipped_files"] == 5
    (warning,) = generated.figures["warnings"]
    assert "5 of the entries" in warning and "pipe.txt (a named pipe)" in warning
    assert json.loads((generated.folder / "sources.json").read_text())["skipped"] == {
        "gone.txt": "a link to nothing",
        "pipe.txt": "a named pipe",
        "secret.txt": "Permission denied",
        "socket.txt": "a socket",
        "zero.txt": "a device",
    }


def test_sound_files_are_not_reported(write_files, generate):
    generated = generate(dataset="text_files", data_dir=str(write_files({"train.txt": b"t\n", **OTHERS})))
    assert not (generated.folder / "sources.json").exists()
    assert not {"skipped_files", "outside_files", "warnings"} & generated.figures.keys()


def test_the_default_pattern_reads_txt_and_txt_gz_only(write_files, generate, read_split):
    more = {
        name: b"backup\n" for name in ("train.txt~", "train.txt.bak", "train.txt.json", "#train.txt#", "train.txt.1")
    }
    folder = write_files({"train.txt": b"t\n", "sub/train.txt.gz": gzip.compress(b"z\n"), **more, **OTHERS})
    assert _train(generate, read_split, folder) == b"z\nt\n"


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("train.txt")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"text\n"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("train.txt", _tar(), "tar"),
        ("train.txt.gz", gzip.compress(_tar(), mtime=0), "tar file inside a gzip"),
        ("train.txt.gz", gzip.compress(b"PK\x03\x04 zipped", mtime=0), "zip file inside a gzip"),
        ("train.txt", b"%PDF-1.7\n", "PDF"),
    ],
)
def test_archives_are_refused_by_name(write_files, name, content, kind):
    with pytest.raises(ComponentError, match=rf"{name} is a {kind} file"):
        text_files.plan(write_files({name: content, **OTHERS}), "*", "file", 1000, [])


def test_an_archive_that_the_pattern_does_not_match_is_named_in_the_message(write_files, generate):
    folder = write_files({"train.txt.tar.gz": gzip.compress(_tar()), **OTHERS})
    with pytest.raises(ComponentError, match="no file to train on.*the folder holds test.txt, train.txt.tar.gz"):
        generate(dataset="text_files", data_dir=str(folder))


def test_a_gzip_bomb_with_newlines_is_bounded(write_files, generate, monkeypatch):
    monkeypatch.setattr(text_encoding, "GZIP_FREE_BYTES", 1_000_000)
    bomb = gzip.compress(b"boom\n" * 1_000_000)
    folder = write_files({"train.txt.gz": bomb, **OTHERS})
    bound = 1_000_000 + 100 * len(bomb)
    with pytest.raises(
        ComponentError, match=rf"train.txt.gz: .* larger than {bound:,} bytes, the limit for its {len(bomb):,}"
    ):
        generate(dataset="text_files", data_dir=str(folder))


@pytest.mark.parametrize("name", ["it's", "two\nlines", "a[b]*?{c,d}", "-dash", "with space #2: yes", "k\udcff"])
def test_any_name_of_a_folder_works(tmp_path, generate, read_split, example_gen, name):
    folder = tmp_path / name / "texts[1]"
    folder.mkdir(parents=True)
    for file, text in {"train.txt": b"t\n", **OTHERS}.items():
        (folder / file).write_bytes(text)
    assert _train(generate, read_split, folder) == b"t\n"
    assert example_gen(dataset="text_files", data_dir=str(folder)).external_state({})


def _change_while_read(path, change):
    """Changes a file when its first line is read."""
    original, changed = text_encoding.read_lines, threading.Event()

    def read_lines(file, place, *arguments):
        for line in original(file, place, *arguments):
            if str(place) == str(path) and not changed.is_set() and len(arguments) and arguments[1] > 2**20:
                changed.set()
                time.sleep(0.01)  # times of files are not finer than this
                change(path)
            yield line

    return read_lines


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: os.truncate(path, 1000), "train.txt was changed while it was read"),
        (lambda path: path.write_bytes(b"new line of text\n" * 200_000), "train.txt was changed while it was read"),
        (lambda path: path.open("ab").write(b"more\n"), "train.txt was changed while it was read"),
        (lambda path: path.unlink(), "train.txt is gone"),
    ],
    ids=["truncated", "overwritten", "appended", "deleted"],
)
@pytest.mark.parametrize("chunk_bytes", [500_000, 10**8])
def test_a_file_that_changes_while_it_is_read_fails_the_run(
    write_files, generate, monkeypatch, change, message, chunk_bytes
):
    folder = write_files({"train.txt": b"old line of text\n" * 200_000, **OTHERS})
    monkeypatch.setattr(text_encoding, "read_lines", _change_while_read(folder / "train.txt", change))
    with pytest.raises(ComponentError, match=message):
        generate(dataset="text_files", data_dir=str(folder), chunk_bytes=chunk_bytes)


def test_a_corpus_file_that_changes_while_it_is_read_fails_the_run(write_files, generate, monkeypatch):
    folder = write_files({"ptb.train.txt": b"a b\n" * 99, "ptb.valid.txt": b"v\n", "ptb.test.txt": b"t\n"})
    path = folder / "ptb.train.txt"
    change = _change_while_read(path, lambda path: path.write_bytes(b"c d\n" * 99))
    monkeypatch.setattr(text_encoding, "read_lines", change)
    with pytest.raises(ComponentError, match="ptb.train.txt was changed while it was read"):
        generate(dataset="penn_treebank", data_dir=str(folder))


def test_a_corpus_in_utf16_is_decoded(write_files, generate, read_split):
    folder = write_files({"ptb.train.txt": "a é\n".encode("utf-16"), "ptb.valid.txt": b"v\r", "ptb.test.txt": b"t\n"})
    generated = generate(dataset="penn_treebank", data_dir=str(folder))
    assert _text(read_split(generated.folder, "train")) == "a é\n".encode()
