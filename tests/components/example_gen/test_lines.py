"""Runs of whole lines, and what a document is."""

import random

from components.example_gen.datasets.wikitext_files import article_runs
from components.example_gen.lines import MAX_TEXT_BYTES, block_runs, file_runs, split_lines


def test_lines_end_at_newlines_and_carriage_returns_only():
    assert split_lines(b"a\r\n\rb\x0b\n\nc") == [b"a\r\n", b"\r", b"b\x0b\n", b"\n", b"c"]
    assert split_lines(b"a\x0c\x1c\x85\xe2\x80\xa8b\r") == [b"a\x0c\x1c\x85\xe2\x80\xa8b\r"]
    assert split_lines(b"") == []
    assert split_lines(b"a\n") == [b"a\n"]


def test_runs_keep_every_line_and_stay_under_the_bound():
    lines = [bytes([97 + number % 26]) * random.Random(number).randrange(5000) + b"\n" for number in range(500)]
    runs = list(file_runs(lines, "book", position=7))
    assert [line for run in runs for line in run.lines] == lines
    assert all(len(run.text) <= MAX_TEXT_BYTES for run in runs) and len(runs) > 2
    assert [run.position for run in runs] == [7 + sum(len(run.lines) for run in runs[:i]) for i in range(len(runs))]


def test_a_line_longer_than_a_run_is_a_run_of_its_own():
    long = b"x" * (MAX_TEXT_BYTES + 1) + b"\n"
    assert [run.lines for run in file_runs([b"a\n", long, b"b\n"], "book")] == [[b"a\n"], [long], [b"b\n"]]


def test_blocks_are_named_by_their_line_and_keep_blank_lines():
    lines = [b"\n", b"one\n", b"more\n", b" \r\n", b"\n", b"two\n", b"\n"]
    runs = list(block_runs(lines, "book.txt", line_number=10))
    assert [(run.document, run.position, run.lines) for run in runs] == [
        ("book.txt:11", 0, lines[:5]),
        ("book.txt:16", 0, lines[5:]),
    ]


def test_only_blank_lines_are_one_block():
    assert [run.lines for run in block_runs([b"\n", b" \n"], "blank")] == [[b"\n", b" \n"]]


def test_wikitext_articles_begin_at_titles_not_at_sections():
    lines = split_lines(
        b" \n = Valkyria = \n \n = not a title = \n text \n \n = = Story = = \n \n more = less \n \n = X = \n \n end \n"
    )
    lines[3] = b" = nor this ; it follows no blank line = \n"
    lines.insert(3, b" text \n")
    runs = list(article_runs(lines, "wiki.train.tokens"))
    assert [run.document for run in runs] == ["wiki.train.tokens:1", "wiki.train.tokens:12"]
    assert [line for run in runs for line in run.lines] == lines
