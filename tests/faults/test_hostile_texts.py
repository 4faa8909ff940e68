"""Hostile texts and folders of them: each case ends with an error that names it, or its lines are read."""

import codecs
import contextlib
import gzip
import os
import socket
from pathlib import Path

from components.base import ComponentError
from components.example_gen import text_files
from tests.faults.hostile_cases import JUNK, check, damaged

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
    "combining marks": b"e" + "\u0301".encode() * 20_000 + b"\n",
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
    chunks = text_files.plan(folder, "**/*", document, 4096, [])
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


def test_hostile_texts_are_read_or_refused(tmp_path):
    check(100, _text_cases(tmp_path), ComponentError)


def test_hostile_entries_of_a_data_folder_are_read_or_refused(tmp_path):
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

    check(13, cases(), ComponentError, lambda name, result: False)


def test_hostile_patterns_of_a_data_folder_are_refused(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_bytes(LINE * 20)
    patterns = [
        "", "/", "/etc/*", "..", "../*", "a/../../*", "[", "[!", "]", "***", "**", "*" * 60, "{", "{a,b", "{,}",
        "}{", "{a,{b,c}}",
        "{a,b}" * 6, "\\", "\0", "?" * 300, "[z-a]", "**/" * 30 + "*", "train.txt\n", "*.txt" + "{,x}" * 8,
    ]  # fmt: skip
    cases = [
        (pattern, "example_gen.pattern", lambda pattern=pattern: text_files.plan(tmp_path, pattern, "file", 4096, []))
        for pattern in patterns
    ]
    check(24, cases, ComponentError)
