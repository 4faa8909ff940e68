"""Files found, cut and read: nothing lost, nothing moved, whatever the chunk's size."""

import gzip
import random

import pytest

from components.base import ComponentError
from components.example_gen import text_files
from components.example_gen.lines import split_lines

AWKWARD = b"first\r\n\n\n\xff\xfe not UTF-8\n \t\nlone \r return\n" + b"long " * 3000 + b"\n\nend without newline"


def _book(seed: int, lines: int) -> bytes:
    """Blocks of lines of all lengths, many empty."""
    generator = random.Random(seed)
    return b"".join(b"w" * generator.choice([0, 0, 1, 5, 40, 200]) + b"\n" for _ in range(lines))


def _texts(chunks) -> dict[str, bytes]:
    texts = {"train": b"", "eval": b"", "test": b""}
    for chunk in chunks:
        for split, run in chunk.routed():
            texts[split] += run.text
    return texts


@pytest.mark.parametrize("document", ["file", "block"])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 4096, 10**9])
def test_named_splits_are_reproduced_byte_for_byte(write_files, document, chunk_bytes):
    files = {
        "train.1.txt": _book(1, 300),
        "train.2.txt": AWKWARD,
        "train.3.txt": b"",
        "train.4.txt.gz": gzip.compress(_book(2, 50)),
        "valid.txt": b"\n\n" + _book(3, 40),
        "test.txt": b"one line, no newline",
    }
    texts = _texts(text_files.plan(write_files(files), "**/*.txt*", document, chunk_bytes, []))
    assert texts["train"] == files["train.1.txt"] + AWKWARD + _book(2, 50)
    assert texts["eval"] == files["valid.txt"]
    assert texts["test"] == files["test.txt"]


@pytest.mark.parametrize("chunk_bytes", [1, 50, 1000, 10**9])
@pytest.mark.parametrize("document", ["file", "block"])
def test_the_last_tenth_of_the_lines_is_held_out_whatever_the_chunks(write_files, document, chunk_bytes):
    files = {"a.txt": _book(4, 90), "b.txt.gz": gzip.compress(_book(5, 60)), "c.txt": b"x\n" * 30 + b"the end"}
    lines = split_lines(_book(4, 90)) + split_lines(_book(5, 60)) + split_lines(files["c.txt"])
    blocks = document == "block"
    if blocks:  # few blocks, so that lines are held out here too
        files = {"a.txt": b"a\n" * 90, "b.txt.gz": gzip.compress(b"\nb\n" * 30), "c.txt": files["c.txt"]}
        lines = split_lines(b"a\n" * 90 + b"\nb\n" * 30 + files["c.txt"])
    held = len(lines) * 5 // 100
    texts = _texts(text_files.plan(write_files(files), "*", document, chunk_bytes, []))
    assert texts["train"] == b"".join(lines[: -2 * held])
    assert texts["eval"] == b"".join(lines[-2 * held : -held])
    assert texts["test"] == b"".join(lines[-held:])


@pytest.mark.parametrize("chunk_bytes", [1, 300, 10**9])
def test_positions_count_lines_in_the_document_across_chunks(write_files, chunk_bytes):
    text = b"".join(b"%d\n" % number for number in range(500))
    chunks = text_files.plan(write_files({"numbers.txt": text}), "*", "file", chunk_bytes, [])
    for chunk in chunks:
        for _, run in chunk.routed():
            assert run.document == "numbers.txt" and run.lines[0] == b"%d\n" % run.position


def test_blocks_are_the_same_documents_whatever_the_chunks(write_files):
    folder = write_files({"book.txt": _book(6, 2000)})
    routed = []
    for chunk_bytes in (1, 333, 10**9):
        runs = [run for chunk in text_files.plan(folder, "*", "block", chunk_bytes, []) for run in chunk.routed()]
        routed.append([(split, run.document, run.position, run.text) for split, run in runs])
    assert routed[0] == routed[1] == routed[2]
    assert {split for split, *_ in routed[0]} == {"train", "eval", "test"}


def test_equal_blocks_go_to_the_same_split(write_files):
    folder = write_files({"book.txt": b"".join(b"poem %d\nits end\n\n" % (n % 100) for n in range(1000))})
    seen: dict[bytes, set] = {}
    for chunk in text_files.plan(folder, "*", "block", 500, []):
        for split, run in chunk.routed():
            seen.setdefault(run.text.strip(), set()).add(split)
    assert len(seen) == 100 and all(len(splits) == 1 for splits in seen.values())


def test_fifty_files_are_divided_whole_by_a_hash_of_their_names(write_files):
    files = {f"books/{number}.txt": b"book %d\n" % number * 3 for number in range(60)}
    texts = _texts(text_files.plan(write_files(files), "**/*.txt", "file", 64, []))
    assert all(texts.values())
    divided = {split: {line for line in split_lines(text)} for split, text in texts.items()}
    assert sum(map(len, divided.values())) == 60
    grown = _texts(text_files.plan(write_files(files | {"books/more.txt": b"more\n"}), "**/*.txt", "file", 64, []))
    assert set(split_lines(grown["train"])) >= divided["train"] - {b"more\n"}


def test_files_without_a_split_in_their_names_are_left_out_only_if_others_name_train(write_files):
    named = {"train.txt": b"t\n" * 3, "valid.txt": b"v\n", "test.txt": b"s\n", "readme.txt": b"about\n"}
    warnings = []
    assert b"about" not in _texts(text_files.plan(write_files(named), "*", "file", 100, warnings))["train"]
    [warning] = warnings
    assert "1 of the files" in warning and "train.txt has train: readme.txt." in warning
    unnamed = {"book.txt": b"b\n" * 30, "test.txt": b"s\n"}
    warnings = []
    texts = _texts(text_files.plan(write_files(unnamed), "*", "file", 100, warnings))
    assert texts == {"train": b"b\n" * 29, "eval": b"b\n", "test": b"s\n"} and not warnings


def test_large_files_are_cut_into_chunks_and_small_ones_grouped(write_files):
    files = {f"train{number}.txt": b"x" * 99 + b"\n" for number in range(10)}
    files |= {"train_z.txt": b"line\n" * 1000, "valid.txt": b"v\n", "test.txt": b"t\n"}
    chunks = text_files.plan(write_files(files), "*", "file", 500, [])
    assert [len(chunk.pieces) for chunk in chunks[:2]] == [5, 5]
    sizes = [chunk.pieces[0].end - chunk.pieces[0].start for chunk in chunks[2:-2]]
    assert sizes == [500] * 10


def test_reading_a_chunk_does_not_read_the_file_before_it(write_files, monkeypatch):
    folder = write_files({"train.txt": b"0123456789\n" * 10_000, "valid.txt": b"v\n", "test.txt": b"t\n"})
    last = text_files.plan(folder, "*", "file", 1100, [])[-3].pieces[0]
    assert last.end == 110_000 and last.start >= 108_000
    assert sum(1 for _ in last.lines()) == (last.end - last.start) // 11


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("*.md", "matches no file.*book.txt"), ("/etc/*", "relative"), ("../*", "relative"), ("", "relative")],
)
def test_a_pattern_without_files_is_named(write_files, pattern, message):
    with pytest.raises(ComponentError, match=f"example_gen.pattern.*{message}"):
        text_files.find_files(write_files({"book.txt": b"text\n"}), pattern)


def test_missing_empty_and_wrong_folders_are_named(tmp_path, write_files):
    with pytest.raises(ComponentError, match="example_gen.data_dir: there is no .*nowhere"):
        text_files.find_files(tmp_path / "nowhere", "*")
    with pytest.raises(ComponentError, match="example_gen.data_dir: .* is empty"):
        text_files.find_files(write_files({}), "*")
    folder = write_files({"book.txt": b"text\n"})
    with pytest.raises(ComponentError, match="is a file.*example_gen.pattern=book.txt"):
        text_files.find_files(folder / "book.txt", "*")


def test_hidden_files_are_not_read(write_files):
    folder = write_files({"a.txt": b"a\n", ".b.txt": b"b\n", ".git/c.txt": b"c\n"})
    assert [name for _, name in text_files.find_files(folder, "**/*.txt")] == ["a.txt"]


def test_unreadable_files_are_named(write_files):
    with pytest.raises(ComponentError, match="a.txt.zip is a zip file"):
        text_files.plan(write_files({"a.txt.zip": b"PK\x03\x04..."}), "*", "file", 100, [])
    damaged = gzip.compress(_book(7, 1000))[:-20]
    with pytest.raises(ComponentError, match="a.txt.gz: the gzip file is damaged"):
        text_files.plan(write_files({"a.txt.gz": damaged}), "*", "file", 100, [])
    with pytest.raises(ComponentError, match="every file that was matched in .* is empty"):
        text_files.plan(write_files({"a.txt": b""}), "*", "file", 100, [])
    with pytest.raises(ComponentError, match="no file to train on"):
        text_files.plan(write_files({"test.txt": b"t\n"}), "*", "file", 100, [])


def test_an_endless_line_is_refused_before_it_fills_the_memory(write_files, monkeypatch):
    monkeypatch.setattr(text_files, "MAX_LINE_BYTES", 1000)
    folder = write_files({"train.txt": b"ok\n" + b"x" * 2000, "valid.txt": b"v\n", "test.txt": b"t\n"})
    with pytest.raises(ComponentError, match="train.txt: line 2 is longer than 1,000 bytes"):
        _texts(text_files.plan(folder, "*", "file", 10**6, []))
