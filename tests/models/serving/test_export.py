import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models.serving import export
from models.serving import reader as windowed_reader
from models.text.tokenizer import EOS_ID, UNK_ID, Tokenizer
from tests.models.reference import ReferenceModel
from tests.models.serving.exported import (
    TEXTS,
    WORDS,
    export_and_load,
    generate,
    make_model,
    read,
    read_scores,
    token_ids,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def loaded(folder, model):
    return export_and_load(folder, model)


@pytest.fixture(scope="module")
def reference(model):
    return ReferenceModel(model)


def test_signatures_have_the_names_types_and_shapes_of_the_contract(loaded):
    def described(specs):
        return {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in specs.items()}

    state = ("float32", [None, 2, 2, 16])
    contract = {
        "serving_default": (
            {"text": ("string", [None])},
            {"words": ("string", [None, 10]), "probabilities": ("float32", [None, 10])},
        ),
        "score": (
            {"text": ("string", [None])},
            {
                "tokens": ("string", [None, None]),
                "token_log_probabilities": ("float32", [None, None]),
                "log_probability": ("float32", [None]),
                "num_tokens": ("int32", [None]),
                "perplexity": ("float32", [None]),
            },
        ),
        "generate": (
            {
                "prompt": ("string", [None]),
                "max_words": ("int32", [None]),
                "temperature": ("float32", [None]),
                "top_k": ("int32", [None]),
                "top_p": ("float32", [None]),
                "seed": ("int32", [None]),
            },
            {"text": ("string", [None])},
        ),
        "step": (
            {"token_ids": ("int64", [None]), "state": state},
            {"log_probabilities": ("float32", [None, 40]), "state": state},
        ),
    }
    assert set(loaded.signatures) == set(contract)
    for name, (inputs, outputs) in contract.items():
        signature = loaded.signatures[name]
        assert described(signature.structured_input_signature[1]) == inputs
        assert described(signature.structured_outputs) == outputs


def test_score_gives_each_row_the_numbers_of_an_independent_lstm(loaded, reference):
    scored = loaded.signatures["score"](text=tf.constant(TEXTS))
    for row, text in enumerate(TEXTS):
        ids = token_ids(text)
        expected = read_scores(reference, ids) if ids else np.zeros(0)
        n = scored["num_tokens"][row]
        assert n == len(ids)
        np.testing.assert_allclose(scored["token_log_probabilities"][row, :n], expected, atol=1e-5)
        assert [word.decode() for word in scored["tokens"][row, :n].numpy()] == [WORDS[i] for i in ids]
        assert not np.any(scored["token_log_probabilities"][row, n:]) and set(scored["tokens"][row, n:].numpy()) <= {
            b""
        }
        np.testing.assert_allclose(scored["log_probability"][row], expected.sum(), rtol=1e-5)
        np.testing.assert_allclose(scored["perplexity"][row], np.exp(-expected.mean()) if ids else 1.0, rtol=1e-5)


def test_a_very_improbable_word_gets_its_log_probability(tmp_path):
    model = make_model(tie_embeddings=False, output_bias=True)
    bias = np.zeros(len(WORDS))
    bias[WORDS.index("w5")] = -300.0  # float32 has no number like e^-300
    model.output_layer.bias.assign(bias)
    scored = export_and_load(tmp_path, model).signatures["score"](text=tf.constant(["w1 w5 w2", "w1"]))
    expected = read_scores(ReferenceModel(model), token_ids("w1 w5 w2"))
    assert expected[1] < -290
    np.testing.assert_allclose(scored["token_log_probabilities"][0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_units": 5},
        {"embedding_units": 20, "tie_embeddings": False, "output_bias": True},
        {"dtype": "float64", "tie_embeddings": False, "output_bias": True},
    ],
)
def test_models_of_other_shapes_and_types_are_served(tmp_path, settings):
    model = make_model(**settings)
    signatures, reference = export_and_load(tmp_path, model).signatures, ReferenceModel(model)
    scored = signatures["score"](text=tf.constant(TEXTS))
    for text, found in zip(TEXTS, scored["log_probability"].numpy(), strict=True):
        assert found == pytest.approx(read_scores(reference, token_ids(text)).sum(), rel=1e-5)
    offered = signatures["serving_default"](text=tf.constant(["w1 w2"]))["words"][0, 0].numpy().decode()
    distributions, _ = read(reference, token_ids("w1 w2", open_last_line=True))
    assert offered == WORDS[2 + np.argmax(distributions[-1][2:])]


def test_the_numbers_do_not_depend_on_windows_and_blocks(tmp_path, monkeypatch, model, loaded):
    monkeypatch.setattr(windowed_reader, "WINDOW_TOKENS", 9)
    monkeypatch.setattr(windowed_reader, "BLOCK_LOGITS", 3 * len(WORDS))
    in_small_windows = export_and_load(tmp_path, model)
    for name in ("score", "serving_default"):
        expected = loaded.signatures[name](text=tf.constant(TEXTS))
        actual = in_small_windows.signatures[name](text=tf.constant(TEXTS))
        for key, values in expected.items():
            if values.dtype == tf.string:
                np.testing.assert_array_equal(actual[key], values)
            else:
                np.testing.assert_allclose(actual[key], values, atol=1e-5, rtol=1e-5)
    assert generate(in_small_windows, TEXTS, seed=range(len(TEXTS))) == generate(loaded, TEXTS, seed=range(len(TEXTS)))


def test_next_words_are_the_best_real_words_with_the_models_own_probabilities(loaded, reference):
    suggested = loaded.signatures["serving_default"](text=tf.constant(TEXTS))
    for row, text in enumerate(TEXTS):
        distributions, _ = read(reference, token_ids(text, open_last_line=True))
        probabilities = np.exp(distributions[-1])
        best = [i for i in np.argsort(-probabilities) if i not in (UNK_ID, EOS_ID)][:10]
        assert [word.decode() for word in suggested["words"][row].numpy()] == [WORDS[i] for i in best]
        np.testing.assert_allclose(suggested["probabilities"][row], probabilities[best], rtol=1e-4)


def test_suggestions_of_a_small_vocabulary_are_padded(tmp_path):
    loaded = export_and_load(tmp_path, make_model(WORDS[:5]), WORDS[:5])
    suggested = loaded.signatures["serving_default"](text=tf.constant(["w1"]))
    words = [word.decode() for word in suggested["words"][0].numpy()]
    assert sorted(words[:3]) == ["w0", "w1", "w2"] and words[3:] == [""] * 7
    assert not np.any(suggested["probabilities"][0, 3:])


def test_step_agrees_with_score_word_by_word(loaded):
    text = "w3 w4\nw5 unknown w6\n"
    scored = loaded.signatures["score"](text=tf.constant([text, text]))["token_log_probabilities"]
    before, state = EOS_ID, tf.zeros([2, 2, 2, 16])
    for position, token in enumerate(token_ids(text)):
        answer = loaded.signatures["step"](token_ids=tf.constant([before] * 2, tf.int64), state=state)
        np.testing.assert_allclose(np.exp(answer["log_probabilities"]).sum(-1), 1.0, atol=1e-5)
        np.testing.assert_allclose(answer["log_probabilities"][:, token], scored[:, position], atol=1e-5)
        before, state = token, answer["state"]


@pytest.mark.parametrize(
    ("token_ids", "rows", "state", "words"),
    [
        ([1, 40], 2, 0.0, r"token_ids must be from 0 to 39, found\] \[40\]"),
        ([-1], 1, 0.0, r"token_ids must be from 0 to 39, found\] \[-1\]"),
        ([2**40], 1, 0.0, "token_ids must be from 0 to 39, found"),
        ([1, 2], 1, 0.0, "one state for each token id"),
        ([1], 3, 0.0, "one state for each token id"),
        ([1], 1, float("nan"), "state must be finite, found"),
        ([1], 1, float("-inf"), "state must be finite, found"),
    ],
)
def test_step_refuses_unknown_ids_and_invalid_states(loaded, token_ids, rows, state, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        loaded.signatures["step"](token_ids=tf.constant(token_ids, tf.int64), state=tf.fill([rows, 2, 2, 16], state))


def test_state_carries_a_text_from_one_call_of_evaluate_ids_to_the_next(loaded, reference):
    ids = np.array([token_ids("w1 w2 w3 w4\nw5 w6 w7 w8 w9\n")], np.int32)
    before = np.concatenate([[[EOS_ID]], ids[:, :-1]], 1).astype(np.int32)
    *first, state = loaded.evaluate_ids(before[:, :4], ids[:, :4], tf.zeros([1, 2, 2, 16]))
    *second, state = loaded.evaluate_ids(before[:, 4:], ids[:, 4:], state)
    log_probabilities, ranks, top = (np.concatenate(parts, 1)[0] for parts in zip(first, second, strict=True))
    expected, expected_state = read(reference, ids[0, :-1])
    of_targets = read_scores(reference, ids[0])
    np.testing.assert_allclose(log_probabilities, of_targets, atol=1e-5)
    np.testing.assert_array_equal(ranks, (expected > of_targets[:, None]).sum(-1))
    np.testing.assert_allclose(top, np.exp(expected.max(-1)), rtol=1e-4)
    np.testing.assert_allclose(state[0], expected_state, atol=1e-5)
    np.testing.assert_allclose(loaded.read_ids(before, tf.zeros([1, 2, 2, 16])), state, atol=1e-6)


def test_tokenize_gives_the_ids_that_score_reads(loaded):
    ids, lengths = loaded.tokenize(tf.constant(TEXTS))
    assert [row[:n].tolist() for row, n in zip(ids.numpy(), lengths.numpy(), strict=True)] == list(
        map(token_ids, TEXTS)
    )


def test_an_empty_batch_gives_empty_results(loaded):
    nothing = tf.zeros([0], tf.string)
    assert loaded.signatures["score"](text=nothing)["tokens"].shape == (0, 0)
    assert loaded.signatures["serving_default"](text=nothing)["words"].shape == (0, 10)
    assert generate(loaded, np.array([], bytes)) == []


def test_weights_are_stored_once(folder, loaded, model):
    data = folder / "saved_model" / "variables" / "variables.data-00000-of-00001"
    weights = sum(weight.value.shape.num_elements() for weight in model.weights)
    assert weights * 4 <= data.stat().st_size < weights * 4 * 1.1 + 4096


def test_vocabulary_and_card_are_in_the_export(folder, loaded):
    saved_model = folder / "saved_model"
    assert (saved_model / "assets" / "vocabulary.txt").read_text().split() == WORDS
    card = json.loads((saved_model / "assets.extra" / "model_card.json").read_text("utf-8"))
    assert card == {"data": "w1 to w37, é"}


def test_a_model_is_not_exported_with_another_vocabulary(tmp_path, model):
    with pytest.raises(ValueError, match="39 words, the model 40"):
        export_and_load(tmp_path, model, WORDS[:-1])


# What TensorFlow Serving 2.16 to 2.20 links: core kernels (those of the graph are listed here, so that a new one is
# looked at) and the operations of TF.Text 2.12.
CORE_OPERATIONS = """
    AddV2 All Any ArgMax Assert AssignVariableOp BitwiseOr BroadcastTo Cast ConcatV2 Const Cumsum DenseBincount
    DisableCopyOnRead Equal Exp ExpandDims Fill FloorDiv FloorMod GatherV2 Greater GreaterEqual HashTableV2 Identity If
    InitializeTableFromTextFileV2 InvertPermutation IsFinite LeftShift Less LessEqual Log LogSoftmax LogicalAnd
    LogicalNot LogicalOr LookupTableFindV2 MatMul Max Maximum MergeV2Checkpoints Min Minimum Mul Neg NoOp NotEqual
    OneHot OnesLike Pack Pad PadV2 Placeholder Prod RaggedRange RaggedTensorToTensor Range ReadVariableOp RealDiv
    Reshape RestoreV2 SaveV2 ScatterNd SegmentMin Select SelectV2 Shape ShardedFilename Sigmoid Size Softmax Split
    Squeeze StatefulPartitionedCall StatelessIf StatelessRandomUniformFullIntV2 StatelessRandomUniformV2 StatelessWhile
    StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringJoin StringLower StringSplitV2 Sub Sum Tanh
    TensorListConcatV2 TensorListFromTensor TensorListGetItem TensorListLength TensorListReserve TensorListSetItem
    TensorListStack Tile TopKV2 Transpose UnicodeTranscode Unpack UnsortedSegmentJoin VarHandleOp VarIsInitializedOp
    Where While ZerosLike
""".split()
TEXT_OPERATIONS = """
    CaseFoldUTF8 NormalizeUTF8 RegexSplitWithOffsets WhitespaceTokenizeWithOffsetsV2 WordpieceTokenizeWithOffsets
""".split()


@pytest.mark.parametrize("tokenizer", ["whitespace", "unicode_words", "wordpiece"])
def test_the_graph_has_only_operations_that_tensorflow_serving_links(tmp_path, model, tokenizer):
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    export.export(model, Tokenizer(tokenizer, True, True, tmp_path / "vocabulary.txt"), tmp_path / "saved_model", {})
    saved_model = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model" / "saved_model.pb").read_bytes())
    graph = saved_model.meta_graphs[0].graph_def
    functions = graph.library.function
    operations = {node.op for node in graph.node} | {node.op for function in functions for node in function.node_def}
    operations -= {function.signature.name for function in functions}
    assert operations <= {*CORE_OPERATIONS, *TEXT_OPERATIONS}


BARE = """
import json, resource, sys
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load(sys.argv[1])
text = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10\\n" * 10_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scored = model.signatures["score"](text=tf.constant([text, "w1"]))
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"num_tokens": scored["num_tokens"].numpy().tolist(), "mebibytes": used / 1024,
                  "finite": bool(tf.reduce_all(tf.math.is_finite(scored["token_log_probabilities"]))),
                  "project": sorted({"models", "components", "pipeline"} & set(sys.modules))}))
"""


def test_a_bare_process_scores_a_hundred_thousand_words_in_bounded_memory(tmp_path):
    words = ["<unk>", "<eos>", *(f"w{i}" for i in range(9_998))]
    export_and_load(tmp_path, make_model(words, units=4), words)
    command = [sys.executable, "-I", "-c", BARE, str(tmp_path / "saved_model")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["num_tokens"] == [110_000, 2] and found["finite"]
    assert found["mebibytes"] < 500  # the logits of the whole text would be 4.4 GB
    assert found["project"] == []


def test_the_penn_treebank_is_scored_as_one_text(tmp_path, ptb_dir):
    counts = {}
    for word in (ptb_dir / "ptb.train.txt").read_text().split():
        counts[word] = counts.get(word, 0) + 1
    words = ["<unk>", "<eos>", *sorted(counts.keys() - {"<unk>"})]
    loaded = export_and_load(tmp_path, make_model(words, units=4, init_scale=0.5), words)
    text = (ptb_dir / "ptb.test.txt").read_text()
    scored = loaded.signatures["score"](text=tf.constant([text]))
    assert scored["num_tokens"].numpy().tolist() == [82_430]
    ids, _ = loaded.tokenize(tf.constant([text]))
    before, state = tf.concat([[[EOS_ID]], ids[:, :-1]], 1), tf.zeros([1, 2, 2, 4])
    for start in range(0, 9_000, 3_000):  # a tenth of it again, with the state in the caller's hands
        window = slice(start, start + 3_000)
        log_probabilities, *_, state = loaded.evaluate_ids(before[:, window], ids[:, window], state)
        np.testing.assert_allclose(scored["token_log_probabilities"][:, window], log_probabilities, atol=1e-5)
    total = np.sum(scored["token_log_probabilities"], dtype=np.float64)
    np.testing.assert_allclose(scored["log_probability"][0], total, rtol=1e-6)
    np.testing.assert_allclose(scored["perplexity"][0], np.exp(-total / 82_430), rtol=1e-6)
