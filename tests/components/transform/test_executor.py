"""Transform: no token is lost or moved, and damaged inputs are named."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf

from components import base, beam_pipeline
from components.artifacts import vocabulary
from components.artifacts.examples import ExamplesShard, read_batches
from components.artifacts.splits import SPLITS
from components.transform import executor
from components.transform.component import Transform
from models.text.token_stream import TokenStream
from tests.components.examples_artifact import write_examples, write_texts

CONTEXT = base.Context(run_id="test", workspace=None, progress=False)


def write_vocabulary(folder, words, train_tokens):
    folder.mkdir()
    (folder / "vocabulary.txt").write_text("".join(f"{word}\n" for word in ["<unk>", "<eos>", *words]))
    settings = {"tokenizer": "whitespace", "lowercase": False, "keep_blank_lines": False}
    (folder / "tokenizer.json").write_text(json.dumps(settings))
    vocabulary.FIGURES.write(folder, {"size": len(words) + 2, "tokens": train_tokens, "coverage": 1.0})
    return folder


def transform(tmp_path, examples, vocabulary, **parameters):
    component = Transform(
        Transform.Parameters(**parameters),
        examples=base.Channel("ExampleGen", "examples", "Examples"),
        vocabulary=base.Channel("VocabularyGen", "vocabulary", "Vocabulary"),
    )
    output = tmp_path / "transformed"
    output.mkdir()
    inputs = {"examples": examples, "vocabulary": vocabulary}
    return output, component.execute(inputs, {"transformed_examples": output}, CONTEXT)


def test_every_shard_keeps_its_place_and_every_token_its_order(tmp_path):
    words = [f"w{i}" for i in range(5_000)]
    text = "".join(f"{word}\n" for word in words).encode()
    examples = write_texts(tmp_path / "examples", chunk_bytes=1_000, train=text, eval=b"w1 w0\n", test=b"w2\nw3 x\n")
    vocabulary = write_vocabulary(tmp_path / "vocabulary", words, train_tokens=10_000)
    output, figures = transform(tmp_path, examples, vocabulary)
    inputs = sorted(path.name for path in (examples / "Split-train").iterdir())
    index = json.loads((output / "Split-train" / "index.json").read_text())
    assert [shard["file"] for shard in index["shards"]] == [n.replace("data_tfrecord", "tokens") for n in inputs]
    assert len(inputs) > 20
    expected = np.stack([np.arange(5_000) + 2, np.ones(5_000)], axis=1).reshape(-1)
    np.testing.assert_array_equal(TokenStream(output / "Split-train")[:], expected)
    np.testing.assert_array_equal(TokenStream(output / "Split-eval")[:], [3, 2, 1])
    np.testing.assert_array_equal(TokenStream(output / "Split-test")[:], [4, 1, 5, 0, 1])
    assert figures == {
        "train_tokens": 10_000, "train_unk_rate": 0.0, "eval_tokens": 3, "eval_unk_rate": 0.0,
        "test_tokens": 5, "test_unk_rate": 0.2,
    }  # fmt: skip


def test_examples_are_batched_within_a_shard_without_changing_the_stream(tmp_path):
    lines = [f"a {'b ' * 50_000}\n".encode() for _ in range(30)]
    shard = [("doc", i, line) for i, line in enumerate(lines)]
    examples = write_examples(tmp_path / "examples", {"train": [shard], "eval": [shard[:1]], "test": [shard[:2]]})
    (path,) = (examples / "Split-train").iterdir()
    batches = list(read_batches(ExamplesShard("train", 0, 1, str(path))))
    assert [example.position for batch in batches for example in batch] == list(range(30))
    assert 1 < len(batches) < 10
    output, _ = transform(tmp_path, examples, write_vocabulary(tmp_path / "vocabulary", "ab", 30 * 50_002))
    np.testing.assert_array_equal(TokenStream(output / "Split-train")[:], [2, *[3] * 50_000, 1] * 30)


def test_shards_that_come_back_in_any_order_are_put_in_the_corpus_order(tmp_path):
    shards = [ExamplesShard(s, n, 12, "") for s in SPLITS for n in range(12)]
    written = [executor.WrittenShard(shard, f"tokens-{shard.number}", (shard.number,), 1, 0) for shard in shards]
    random.Random(1).shuffle(written)
    for split in SPLITS:
        (tmp_path / f"Split-{split}").mkdir()
    executor.write_indexes(str(tmp_path), shards, written)
    for split in SPLITS:
        index = json.loads((tmp_path / f"Split-{split}" / "index.json").read_text())
        assert [shard["records"] for shard in index["shards"]] == [[n] for n in range(12)]
    with pytest.raises(RuntimeError, match="35 shards of 36"):
        executor.write_indexes(str(tmp_path), shards, written[1:])
    with pytest.raises(RuntimeError, match="36 shards of 36"):
        executor.write_indexes(str(tmp_path), shards, [*written[1:], written[1]])


def test_results_that_the_runner_lost_are_an_error(tmp_path):
    (tmp_path / "train-1.result").write_text("1")
    (tmp_path / ".train-2.result.attempt").write_bytes(b"half")
    assert beam_pipeline.kept(tmp_path, 1) == [1]
    with pytest.raises(RuntimeError, match="returned 1 results of 2"):
        beam_pipeline.kept(tmp_path, 2)


def test_tokens_that_are_lost_or_belong_to_other_examples_are_an_error(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b"a b\n", eval=b"a\n", test=b"b\n")
    with pytest.raises(base.ComponentError, match="counted 3 tokens in the train split, VocabularyGen 4"):
        transform(tmp_path, examples, write_vocabulary(tmp_path / "vocabulary", "ab", 4))
    counts = {split: {"tokens": 3, "unknown": 0} for split in SPLITS}
    with pytest.raises(base.ComponentError, match="Split-eval holds 2 tokens, but 3 were counted"):
        executor.check_conservation(tmp_path / "transformed", counts, 3)


def test_an_empty_split_is_an_error_that_names_it(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b"a b\n", eval=b"\n", test=b"b\n")
    with pytest.raises(base.ComponentError, match="eval split has no tokens"):
        transform(tmp_path, examples, write_vocabulary(tmp_path / "vocabulary", "ab", 3))


def test_too_many_words_without_an_id_warn_or_fail_as_configured(tmp_path):
    examples = write_texts(tmp_path / "examples", train=b"a b\n", eval=b"a x y\n", test=b"b\n")
    vocabulary = write_vocabulary(tmp_path / "vocabulary", "ab", 3)
    _, figures = transform(tmp_path, examples, vocabulary, max_unk_share=0.4)
    (warning,) = figures["warnings"]
    assert "50.0% of the eval split's tokens have no id" in warning and "example_validator.max_unk_share, 40" in warning
    (tmp_path / "transformed").rename(tmp_path / "before")
    with pytest.raises(base.ComponentError, match="50.0% of the eval split"):
        transform(tmp_path, examples, vocabulary, max_unk_share=0.4, fail_on_unk=True)
    (tmp_path / "transformed").rename(tmp_path / "failed")
    assert "warnings" not in transform(tmp_path, examples, vocabulary, max_unk_share=0.5)[1]


def _damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content[:-3] if how == "truncated" else content)
    if how == "foreign":
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(b"no example")
    if how == "other schema":
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(tf.train.Example().SerializeToString())


@pytest.mark.parametrize(
    ("how", "processes"), [("flipped", 1), ("truncated", 1), ("foreign", 1), ("other schema", 1), ("flipped", 2)]
)
def test_a_damaged_shard_is_named_without_a_traceback(tmp_path, how, processes, capfd):
    examples = write_texts(tmp_path / "examples", chunk_bytes=50, train=b"a b\n" * 50, eval=b"a\n", test=b"b\n")
    path = examples / "Split-train" / "data_tfrecord-00001-of-00004"
    _damage(path, how)
    beam_args = ["--runner=FnApiRunner"]
    if processes > 1:
        beam_args += ["--direct_running_mode=multi_processing", f"--direct_num_workers={processes}"]
    vocabulary = write_vocabulary(tmp_path / "vocabulary", "ab", 150)
    with pytest.raises(base.ComponentError, match=f"^{path} is damaged .*record.*Run ExampleGen again"):
        transform(tmp_path, examples, vocabulary, beam_args=beam_args)
    if processes == 1:
        assert "Traceback" not in capfd.readouterr().err


def test_a_beam_argument_that_beam_refuses_is_named(tmp_path):
    with pytest.raises(base.ComponentError, match="beam.args .*NoSuchRunner"):
        with beam_pipeline.open_pipeline(["--runner=NoSuchRunner"]):
            pass
