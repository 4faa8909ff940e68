"""A pushed model with TensorFlow Serving's own messages and stubs, over gRPC."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.serving import saved_model
from models.text.tokenizer import EOS_ID

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed (extra test)")
import grpc  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from tests.pipeline.server import grpc_server  # noqa: E402

TEXTS = ["the cat sat", "a dog\nthe end", ""]
GENERATE = {"max_words": 5, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}
DOCUMENT = Path(__file__).parents[3] / "docs" / "serving.md"


@pytest.fixture(scope="module")
def pushed(pushed_root):
    """The folder of the version that the real command pushed."""
    return saved_model.newest(pushed_root / "serving")


@pytest.fixture(scope="module")
def port(pushed_root):
    with grpc_server.serve(pushed_root / "serving") as port:
        yield port


@pytest.fixture(scope="module")
def stub(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def make_request(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "lm", signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def ask(stub, signature, **inputs):
    answer = stub.Predict(make_request(signature, **inputs), timeout=60)
    return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}


def of_each_prompt(prompts, **settings):
    full = {name: np.full(len(prompts), value) for name, value in {**GENERATE, **settings}.items()}
    types = {"temperature": np.float32, "top_p": np.float32}
    return {"prompt": prompts} | {name: value.astype(types.get(name, np.int32)) for name, value in full.items()}


def warm_up_requests(folder):
    records = tf.data.TFRecordDataset(str(folder / saved_model.WARM_UP))
    return [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]


def test_scores_are_what_step_finds_word_by_word(stub, pushed):
    words = (pushed / saved_model.VOCABULARY).read_bytes().removesuffix(b"\n").split(b"\n")
    scored = ask(stub, "score", text=TEXTS)
    for row, length in enumerate(scored["num_tokens"]):
        before, state, found = EOS_ID, first_state(pushed), []
        for token in scored["tokens"][row, :length]:
            answer = ask(stub, "step", token_ids=np.array([before]), state=state)
            before, state = words.index(token), answer["state"]
            found.append(answer["log_probabilities"][0, before])
        np.testing.assert_allclose(scored["token_log_probabilities"][row, :length], found, atol=1e-5)
        assert scored["perplexity"][row] == pytest.approx(np.exp(-np.mean(found)) if found else 1, rel=1e-4)


def test_next_words_have_the_probabilities_that_step_gives(stub, pushed):
    words = (pushed / saved_model.VOCABULARY).read_bytes().removesuffix(b"\n").split(b"\n")
    answer = ask(stub, "serving_default", text=[""])
    step = ask(stub, "step", token_ids=np.array([EOS_ID]), state=first_state(pushed))
    offered = [(word, p) for word, p in zip(answer["words"][0], answer["probabilities"][0], strict=True) if word]
    assert offered
    for word, probability in offered:
        assert probability == pytest.approx(np.exp(step["log_probabilities"][0, words.index(word)]), rel=1e-4)


def test_a_prompt_is_continued_as_its_seed_says(stub):
    together = ask(stub, "generate", **of_each_prompt(["the cat", "a dog"]))["text"]
    assert [len(text.split()) for text in together] == [5, 5]
    assert ask(stub, "generate", **of_each_prompt(["the cat"]))["text"][0] == together[0]


def test_only_the_requested_outputs_are_returned(stub):
    request = make_request("score", text=TEXTS)
    request.output_filter.append("perplexity")
    answer = stub.Predict(request, timeout=60)
    assert list(answer.outputs) == ["perplexity"]
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("lm", 1)


def test_settings_that_make_no_sense_are_refused(stub):
    with pytest.raises(grpc.RpcError) as refused:
        ask(stub, "generate", **of_each_prompt(["the"], top_p=1.5))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "top_p must be from 0 to 1" in refused.value.details()


def test_a_push_has_a_warm_up_request_for_each_signature_which_the_model_answers(stub, pushed):
    logs = warm_up_requests(pushed)
    asked = [log.predict_log.request.model_spec.signature_name for log in logs]
    assert sorted(asked) == sorted(saved_model.load(pushed).signatures)
    for log in logs:
        assert log.WhichOneof("log_type") == "predict_log"
        assert stub.Predict(log.predict_log.request, timeout=60).outputs


def test_warm_up_requests_are_what_tensorflow_serving_itself_would_write(pushed):
    def written(log):
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        again = make_request(request.model_spec.signature_name, **inputs)
        return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=again))

    for log in warm_up_requests(pushed):
        assert log == written(log)


def test_the_documented_client_works(port, capsys):
    (code,) = re.findall(r"```python\n(import grpc.*?)```", DOCUMENT.read_text("utf-8"), flags=re.DOTALL)
    exec(compile(code.replace("localhost:8500", f"127.0.0.1:{port}"), "docs/serving.md", "exec"), {})
    assert re.fullmatch(r"\[\d+\.\d+\]\n", capsys.readouterr().out)


def first_state(folder):
    return np.zeros([1, *saved_model.state_shape(saved_model.load(folder))], np.float32)
