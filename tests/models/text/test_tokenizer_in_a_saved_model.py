"""The tokenizer in a SavedModel: alone, and with the operations that TensorFlow Serving links."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models.text.tokenizers import with_vocabulary

LOAD = """
import json, sys
import tensorflow as tf
import tensorflow_text
loaded = tf.saved_model.load(sys.argv[1])
texts = tf.constant(json.loads(sys.argv[2]))
ids, lengths = loaded.encode(texts)
print(json.dumps([ids.numpy().tolist(), lengths.numpy().tolist(), loaded.decode(ids).numpy()[0].decode()]))
"""


@pytest.mark.parametrize("kind", ["whitespace", "unicode_words", "wordpiece"])
def test_a_saved_model_tokenizes_without_this_project(tmp_path, kind):
    (tmp_path / "vocabulary").mkdir()
    tokenizer = with_vocabulary(tmp_path / "vocabulary", ["don", "don't", "stop", "##s", "!"], kind, lowercase=True)
    module = tf.Module()
    module.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def encode(texts):
        ids = tokenizer.encode(texts)
        return ids.to_tensor(-1), ids.row_lengths()

    module.encode = encode
    module.decode = tf.function(tokenizer.decode, input_signature=[tf.TensorSpec([None, None], tf.int64)])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    assert [path.name for path in (tmp_path / "saved" / "assets").iterdir()] == ["vocabulary.txt"]

    texts = ["Don't stop!\n\nstops", "", "<unk>"]
    expected = tokenizer.encode(tf.constant(texts))
    (tmp_path / "vocabulary" / "vocabulary.txt").unlink()
    answer = subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "saved", json.dumps(texts)],
        cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    ids, lengths, text = json.loads(answer.stdout.splitlines()[-1])
    np.testing.assert_array_equal(ids, expected.to_tensor(-1))
    assert lengths == expected.row_lengths().numpy().tolist()
    assert text == tokenizer.decode(expected).numpy()[0].decode()


# The only operations of tensorflow-text that an exported model may use: TensorFlow Serving has them from 2.16 on.
TEXT_OPS = {"NormalizeUTF8", "WordpieceTokenizeWithOffsets"}


@pytest.mark.parametrize("kind", ["whitespace", "unicode_words", "wordpiece"])
def test_only_operations_that_serving_links_are_used(tmp_path, kind):
    tokenizer = with_vocabulary(tmp_path, ["a"], kind, lowercase=True)
    graph = tf.function(lambda texts: tokenizer.decode(tokenizer.encode(texts)))
    graph = graph.get_concrete_function(tf.TensorSpec([None], tf.string)).graph.as_graph_def()
    used = {node.op for node in graph.node} | {node.op for f in graph.library.function for node in f.node_def}
    core = {name for name in dir(tf.raw_ops)}
    assert used - core <= TEXT_OPS
    assert not any("PyFunc" in name for name in used)
