"""Runs of whole lines, and what a document is."""

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen.datasets.wikitext_files import article_runs
from components.example_gen.lines import MAX_TEXT_BYTES, block_runs, file_runs, split_lines

PIECES = [
    b"\n",
    b"\r",
    b"\r\n",
    b"a",
    b"\x0b",
    b"\x0c",
    b"\xe2\x80\xa8",
    b"\x85",
]  # some end lines of str, not of bytes


def test_lines_end_at_newlines_and_carriage_returns_only():
    assert split_lines(b"a\r\n\rb\x0b\n\nc") == [b"a\r\n", b"\r", b"b\x0b\n", b"\n", b"c"]
    assert split_lines(b"a\x0c\x1c\x85\xe2\x80\xa8b\r") == [b"a\x0c\x1c\x85\xe2\x80\xa8b\r"]
    assert split_lines(b"") == []
    assert split_lines(b"a\n") == [b"a\n"]


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_lines_are_the_text_and_end_where_a_line_ends(text):
    lines = split_lines(text)
    assert b"".join(lines) == text
    for line in lines:
        body = line.removesuffix(b"\n").removesuffix(b"\r") if line.endswith(b"\n") else line.removesuffix(b"\r")
        assert not {b"\n"[0], b"\r"[0]} & set(body)
    assert all(line.endswith((b"\n", b"\r")) for line in lines[:-1])
    assert not any(line.endswith(b"\r") and later == b"\n" for line, later in itertools.pairwise(lines))


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, MAX_TEXT_BYTES + 2), max_size=20), position=st.integers(0, 9))
@example(sizes=[MAX_TEXT_BYTES - 1, MAX_TEXT_BYTES, 0], position=7)
def test_runs_keep_every_line_and_are_as_long_as_the_bound_allows(sizes, position):
    lines = [b"x" * size + b"\n" for size in sizes]
    runs = list(file_runs(lines, "book", position))
    assert [line for run in runs for line in run.lines] == lines
    assert all(len(run.text) <= MAX_TEXT_BYTES or len(run.lines) == 1 for run in runs)
    assert all(len(run.text) + len(later.lines[0]) > MAX_TEXT_BYTES for run, later in itertools.pairwise(runs))
    lengths = [len(run.lines) for run in runs]
    assert [run.position for run in runs] == [position + sum(lengths[:index]) for index in range(len(runs))]


@settings(deadline=None)
@given(lines=st.lists(st.sampled_from([b"\n", b" \r\n", b"word\n", b"= title =\n"])), first=st.integers(0, 9))
def test_blocks_keep_every_line_and_begin_after_a_blank_one(lines, first):
    runs = list(block_runs(lines, "book", first))
    assert [line for run in runs for line in run.lines] == lines
    starts = [int(run.document.removeprefix("book:")) - 1 - first for run in runs]
    assert starts == [sum(len(run.lines) for run in runs[:index]) for index in range(len(runs))]
    for start in starts[1:]:
        assert lines[start - 1].isspace() and not lines[start].isspace()
    for run in runs[1:]:
        texts = [not line.isspace() for line in run.lines]
        assert texts == sorted(texts, reverse=True)  # text, then blank lines


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
