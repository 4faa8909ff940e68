"""StatisticsGen: its counts against what Python counts."""

import collections
import json

import numpy as np
import pytest

from components import base
from components.statistics_gen.component import StatisticsGen
from components.statistics_gen.counts import Counts, count_invalid
from tests.components.examples_artifact import write_examples, write_texts

CONTEXT = base.Context(run_id="test", workspace=None, progress=False)


def statistics_of(tmp_path, examples, **parameters):
    """Runs the component: its figures, and each split's JSON."""
    parameters = StatisticsGen.Parameters(**{"tokenizer": "whitespace", **parameters})
    component = StatisticsGen(parameters, examples=base.Channel("ExampleGen", "examples", "Examples"))
    output = tmp_path / "statistics"
    output.mkdir()
    figures = component.execute({"examples": examples}, {"statistics": output}, CONTEXT)
    splits = {split: output / f"Split-{split}" / "statistics.json" for split in ("train", "eval", "test")}
    return figures, {split: json.loads(path.read_text()) for split, path in splits.items()}


def test_every_split_is_counted_as_python_counts_it(tmp_path):
    train = "a b <unk>\n\n  \na b\na b\r\nné —\n".encode()
    examples = write_texts(tmp_path / "examples", train=train, eval=b"a b\nnew line\n", test=b"last line without end")
    figures, splits = statistics_of(tmp_path, examples)
    counted = splits["train"]
    assert counted["bytes"] == len(train)
    assert counted["characters"] == len(train.decode())
    assert (counted["lines"], counted["blank_lines"], counted["tokens"]) == (4, 2, 13)
    assert (counted["unk_tokens"], counted["unk_share"]) == (1, 1 / 13)
    assert (counted["invalid_bytes"], counted["nul_bytes"]) == (0, 0)
    assert counted["duplicated_lines"] == 1  # "a b" is there twice
    assert counted["duplicated_share"] == 1 / 4
    length = counted["line_length"]
    assert (length["mean"], length["median"], length["max"]) == (9 / 4, 2, 3)
    assert dict(zip(length["edges"], length["counts"], strict=True))[2] == 3
    assert sum(length["counts"]) == 4
    assert splits["eval"]["overlap_with_train"] == {"lines": 1, "share": 0.5}
    assert splits["test"]["overlap_with_train"] == {"lines": 0, "share": 0.0}
    assert splits["test"]["tokens"] == 5
    assert figures == {
        "train_lines": 4, "train_tokens": 13, "eval_lines": 2, "eval_tokens": 6, "test_lines": 1, "test_tokens": 5,
    }  # fmt: skip


def test_blank_lines_are_lines_if_the_tokenizer_keeps_them(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b" \n = T = \n \n", eval=b"\n", test=b"x\n")
    _, splits = statistics_of(tmp_path, examples, keep_blank_lines=True)
    assert (splits["train"]["lines"], splits["train"]["blank_lines"], splits["train"]["tokens"]) == (3, 2, 6)
    assert splits["train"]["line_length"]["counts"][0] == 2
    assert (splits["eval"]["tokens"], splits["eval"]["duplicated_lines"]) == (1, 0)


def test_an_empty_split_is_counted_as_nothing(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b"a\n", eval=b"", test=b" \n")
    _, splits = statistics_of(tmp_path, examples)
    for split in ("eval", "test"):
        assert (splits[split]["tokens"], splits[split]["lines"], splits[split]["line_length"]["max"]) == (0, 0, 0)


@pytest.mark.parametrize(
    "text, invalid, characters",
    [
        (b"", 0, 0),
        ("é€😀\ufffd".encode(), 0, 4),
        (b"a\xffb", 1, 3),
        (b"caf\xe9 \xe9", 2, 6),
        (b"\xe2\x82", 2, 1),  # a cut-off character: two bytes, one replacement
        (b"\xc0\x80", 2, 2),
    ],
)
def test_bytes_that_are_not_utf8_are_counted(text, invalid, characters):
    assert count_invalid(text) == (invalid, characters)


def test_invalid_bytes_are_a_fraction_of_all_bytes(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b"ab\xff\xfe", eval=b"a\0\n", test=b"x\n")
    _, splits = statistics_of(tmp_path, examples)
    assert (splits["train"]["invalid_bytes"], splits["train"]["invalid_fraction"]) == (2, 0.5)
    assert splits["eval"]["nul_bytes"] == 1


def test_a_document_that_continues_in_the_next_shard_is_one_document(tmp_path):
    shards = [[("a", 0, b"1\n"), ("b", 0, b"2\n")], [("b", 1, b"3\n")], [("c", 0, b"4\n"), ("a", 0, b"5\n")]]
    examples = write_examples(tmp_path / "examples", {"train": shards, "eval": shards[1:2], "test": shards[:1]})
    _, splits = statistics_of(tmp_path, examples)
    assert [splits[split]["documents"] for split in ("train", "eval", "test")] == [4, 1, 2]


def test_counts_add_up_whatever_the_cut():
    runs = [Counts(documents=1, size=n, first=name, last=name) for n, name in [(1, b"a"), (2, b"a"), (4, b"b")]]
    left = (runs[0] + runs[1]) + runs[2]
    right = runs[0] + (runs[1] + runs[2])
    for total in (left, right, Counts() + left + Counts()):
        assert (total.documents, total.size, total.first, total.last) == (2, 7, b"a", b"b")


def test_ptb_in_many_shards_has_the_published_token_counts_and_pythons_duplicates(tmp_path, ptb_dir):
    texts = {
        split: (ptb_dir / f"ptb.{name}.txt").read_bytes()
        for split, name in {"train": "train", "eval": "valid", "test": "test"}.items()
    }
    _, splits = statistics_of(tmp_path, write_texts(tmp_path / "examples", chunk_bytes=300_000, **texts))
    assert [splits[split]["tokens"] for split in texts] == [929_589, 73_760, 82_430]
    assert [splits[split]["documents"] for split in texts] == [1, 1, 1]
    lines = {split: [line.strip() for line in text.splitlines()] for split, text in texts.items()}
    for split in texts:
        assert splits[split]["lines"] == len(lines[split])
        assert splits[split]["duplicated_lines"] == len(lines[split]) - len(set(lines[split]))
    train = set(lines["train"])
    assert splits["eval"]["overlap_with_train"]["lines"] == sum(line in train for line in lines["eval"])
    words = np.array([len(line.split()) for line in lines["train"]])
    assert splits["train"]["line_length"]["median"] == int(np.median(words))
    np.testing.assert_allclose(splits["train"]["line_length"]["mean"], words.mean())
    assert splits["train"]["unk_tokens"] == texts["train"].split().count(b"<unk>")


def test_missing_shards_are_named(tmp_path):
    examples = write_texts(tmp_path / "examples", chunk_bytes=2, train=b"a\nb\nc\n", eval=b"x\n", test=b"x\n")
    (examples / "Split-train" / "data_tfrecord-00001-of-00003").unlink()
    with pytest.raises(base.ComponentError, match="Split-train should have the shards data_tfrecord-00000-of-00002"):
        statistics_of(tmp_path, examples)


def test_counts_survive_the_file_between_two_pipelines():
    counts = Counts()
    counts.add_example(b"caf\xe9 \xff/one", b"a line\nwith \xff and \xc3\xa9\n")
    counts.add_example(b"zwei\n", "друг\n".encode(), 3)
    counts.scripts = collections.Counter({"LATIN": 9, "CYRILLIC": 4})
    counts.lengths[3] = 2
    restored = Counts.from_json(json.loads(json.dumps(counts.to_json())))
    assert restored.to_json() == counts.to_json() and restored.summary() == counts.summary()
    assert (restored + Counts()).largest == counts.largest and restored.first == b"caf\xe9 \xff/one"
    assert Counts.from_json(Counts().to_json()).last is None
