"""The server answers as TensorFlow Serving does; the requests are those of its documentation, with our signatures."""

import base64
import concurrent.futures
import itertools
import json
import time

import httpx
import numpy as np
import pytest
import tensorflow as tf
from starlette.testclient import TestClient

from models.serving import export
from pipeline.server import model_server
from pipeline.server.app import Limits, make_app
from tests.pipeline.server.serving_folder import make_serving, push, serve

PREDICT = "/v1/models/lm:predict"
TEXT = "w1 w2\nw3"


@pytest.fixture(scope="module")
def client(folder):
    with TestClient(make_app(make_serving(folder))) as client:
        yield client


@pytest.fixture(scope="module")
def model(folder):
    return tf.saved_model.load(str(folder / "1"))


def expected(model, signature, **inputs):
    """The model's own outputs, as plain lists."""
    outputs = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: output.numpy() for name, output in outputs.items()}


def test_row_format_gives_an_object_an_instance(client, model):
    answer = client.post(
        PREDICT, json={"signature_name": "serving_default", "instances": [{"text": TEXT}, {"text": ""}]}
    )
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    outputs = expected(model, "serving_default", text=[TEXT, ""])
    for row, prediction in enumerate(answer.json()["predictions"]):
        assert [word.encode() for word in prediction["words"]] == outputs["words"][row].tolist()
        np.testing.assert_allclose(prediction["probabilities"], outputs["probabilities"][row], rtol=1e-5)


def test_the_default_signature_and_plain_values_for_a_single_input(client):
    named = client.post(PREDICT, json={"signature_name": "serving_default", "instances": [{"text": TEXT}]})
    assert client.post(PREDICT, json={"instances": [TEXT]}).json() == named.json()
    assert client.post("/v1/models/lm/versions/1:predict", json={"instances": [TEXT]}).json() == named.json()


def test_columnar_format_gives_an_object_of_lists(client, model):
    answer = client.post(PREDICT, json={"signature_name": "score", "inputs": {"text": [TEXT, "w4"]}}).json()["outputs"]
    outputs = expected(model, "score", text=[TEXT, "w4"])
    assert answer["num_tokens"] == outputs["num_tokens"].tolist() == [5, 2]
    assert answer["tokens"][1] == ["w4", "<eos>", "", "", ""]
    np.testing.assert_allclose(answer["token_log_probabilities"], outputs["token_log_probabilities"], rtol=1e-5)
    assert client.post(PREDICT, json={"signature_name": "score", "inputs": [TEXT, "w4"]}).json()["outputs"] == answer


def test_a_single_output_is_written_without_its_name(client):
    inputs = {"prompt": "w1", "max_words": 3, "temperature": 0.5, "top_k": 0, "top_p": 1.0, "seed": 7}
    rows = client.post(PREDICT, json={"signature_name": "generate", "instances": [inputs]}).json()
    columns = {name: [value] for name, value in inputs.items()}
    outputs = client.post(PREDICT, json={"signature_name": "generate", "inputs": columns}).json()
    assert rows["predictions"] == outputs["outputs"] and len(outputs["outputs"][0].split()) == 3


def test_bytes_are_sent_as_base64(client):
    encoded = {"b64": base64.b64encode(TEXT.encode()).decode()}
    plain = client.post(PREDICT, json={"instances": [TEXT]}).json()
    assert client.post(PREDICT, json={"instances": [encoded]}).json() == plain
    assert client.post(PREDICT, json={"instances": [{"text": encoded}]}).json() == plain
    invalid = {"b64": base64.b64encode(b"caf\xe9 \xff").decode()}
    assert client.post(PREDICT, json={"instances": [invalid]}).status_code == 200


def test_a_step_takes_and_gives_nested_lists(client, model):
    state = np.zeros([2, 2, 2, 16], np.float32)
    body = {"signature_name": "step", "inputs": {"token_ids": [1, 5], "state": state.tolist()}}
    answer = client.post(PREDICT, json=body).json()["outputs"]
    outputs = expected(model, "step", token_ids=np.array([1, 5]), state=state)
    np.testing.assert_allclose(answer["log_probabilities"], outputs["log_probabilities"], rtol=1e-5)
    np.testing.assert_allclose(answer["state"], outputs["state"], rtol=1e-5)


def test_floats_have_the_digits_of_float32(client):
    body = client.post(PREDICT, json={"instances": [TEXT]}).text
    for probability in json.loads(body)["predictions"][0]["probabilities"]:
        assert float(np.float32(probability)) == pytest.approx(probability, rel=1e-7)
        assert str(probability) == str(np.float32(probability)) or "e" in str(probability)


def test_status_and_metadata_are_those_of_tensorflow_serving(client):
    status = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/lm", "/v1/models/lm/versions/1"):
        assert client.get(path).json() == {"model_version_status": [status]}
    metadata = client.get("/v1/models/lm/metadata").json()
    assert metadata["model_spec"] == {"name": "lm", "signature_name": "", "version": "1"}
    definitions = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "score", "generate", "step"} <= set(definitions)
    text = definitions["serving_default"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING" and text["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    assert definitions["score"]["method_name"] == "tensorflow/serving/predict"


REFUSED = [
    ("", 400, "JSON Parse error: The document is empty"),
    ("{", 400, "JSON Parse error"),
    ("[" * 100_000, 400, "JSON Parse error"),
    ("[]", 400, "Is not object"),
    ("{}", 400, "Missing 'inputs' or 'instances' key"),
    ('{"instances": ["a"], "inputs": ["a"]}', 400, "expecting only one of 'inputs' or 'instances'"),
    ('{"instances": "a"}', 400, "Excepting 'instances' to be an list/array"),
    ('{"instances": []}', 400, "No values in 'instances' array"),
    ('{"instances": [1]}', 400, "JSON Value: 1 Type: Number is not of expected type: string"),
    ('{"instances": [{"txt": "a"}]}', 400, "does not have named input: txt"),
    ('{"instances": ["a", {"text": "a"}]}', 400, "Expecting value/list but got object at item 1 of input list"),
    ('{"instances": [["a"], ["b", "c"]]}', 400, "Expecting shape [1] but got: [2]"),
    ('{"instances": [{"b64": "!"}]}', 400, "Unable to base64 decode"),
    ('{"inputs": "a"}', 400, "has the shape [], the signature takes [-1]"),
    ('{"inputs": {}}', 400, "Missing named input: text in 'inputs' object."),
    ('{"signature_name": 3, "instances": ["a"]}', 400, "'signature_name' key must be a string value."),
    ('{"signature_name": "x", "instances": ["a"]}', 400, 'Serving signature name: "x" not found in signature def'),
    (
        '{"signature_name": "generate", "instances": ["a"]}',
        400,
        "instances is a plain list, but expecting list of objects",
    ),
]


@pytest.mark.parametrize(("body", "status", "message"), REFUSED)
def test_wrong_requests_are_refused_with_tensorflow_servings_messages(client, body, status, message):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/lm/versions/9:predict", 404, "Servable not found for request: Specific(lm, 9)"),
        ("POST", "/v1/models/lm:classify", 400, "ask with :predict"),
        ("POST", "/v1/models/lm/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/lm/versions/9", 404, "Could not find version 9 of model lm"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/lm:predict", 400, "Malformed request: GET /v1/models/lm:predict"),
        ("POST", "/v1/models/lm", 400, "Malformed request: POST /v1/models/lm"),
    ],
)
def test_unknown_addresses_are_answered_as_tensorflow_serving_does(client, method, path, status, message):
    answer = client.request(method, path, content='{"instances": ["a"]}' if method == "POST" else None)
    assert answer.status_code == status and message in answer.json()["error"]


def test_requests_beyond_the_limits_are_refused(folder):
    limits = Limits(body_bytes=2000, text_bytes=100, padded_bytes=500, numbers=300)
    with TestClient(make_app(make_serving(folder, limits=limits))) as client:
        bodies = [["w" * 101], ["w" * 90] + ["w"] * 9, ["w1 " * 1000]]
        answers = [client.post(PREDICT, json={"instances": texts}) for texts in bodies]
        assert [answer.status_code for answer in answers] == [400, 400, 413]
        for answer, words in zip(answers, ["--max-text-bytes", "padded", "--max-body-bytes"], strict=True):
            assert words in answer.json()["error"]
        chunks = client.post(PREDICT, content=iter([b" " * 1000] * 3))  # without a Content-Length
        assert chunks.status_code == 413
        for rows, status in ((2, 200), (3, 400)):  # of 40 log-probabilities and 64 numbers of the state each
            inputs = {"token_ids": [1] * rows, "state": [[[[0] * 16] * 2] * 2] * rows}
            answer = client.post(PREDICT, json={"signature_name": "step", "inputs": inputs})
            assert answer.status_code == status
        assert "has 312 numbers; at most 300" in answer.json()["error"]


def test_the_longest_continuation_that_is_counted_is_the_longest_that_a_model_writes():
    assert model_server.MAX_WORDS == export.MAX_WORDS


def test_health_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok", "versions": [1]}
    client.post(PREDICT, json={"instances": ["w1"]})
    client.post(PREDICT, json={"instances": ["w1"], "signature_name": "made-up"})
    exposition = client.get("/metrics").text
    assert 'lm_requests_total{signature="serving_default",status="200"}' in exposition
    assert 'lm_requests_total{signature="",status="400"}' in exposition and "made-up" not in exposition
    assert "lm_newest_version 1.0" in exposition and "process_resident_memory_bytes" in exposition
    assert client.get("/monitoring/prometheus/metrics").status_code == 200


def test_concurrent_requests_run_together_and_get_what_they_get_alone(folder):
    serving = make_serving(folder)
    texts = [f"w{i} w{i + 1} " * (1 + i % 5) for i in range(48)]
    with serve(serving) as address, httpx.Client() as client, concurrent.futures.ThreadPoolExecutor(24) as pool:

        def score(text):
            body = {"signature_name": "score", "inputs": [text]}
            return client.post(address + PREDICT, json=body, timeout=60).json()["outputs"]

        together = list(pool.map(score, texts))
        alone = [score(text) for text in texts]
        exposition = client.get(f"{address}/metrics").text
    for one, other in zip(together, alone, strict=True):
        assert one["tokens"] == other["tokens"]
        np.testing.assert_allclose(one["token_log_probabilities"], other["token_log_probabilities"], atol=1e-4)
    batches = float(exposition.split('lm_batch_requests_count{signature="score"} ')[1].split()[0])
    assert batches < 2 * len(texts)  # half of the requests were sent one by one


def test_a_version_pushed_under_load_fails_no_request(exported_models, versions):
    serving, statuses, stop = make_serving(versions, number=1), [], []
    with serve(serving) as address, httpx.Client() as client, concurrent.futures.ThreadPoolExecutor(4) as pool:

        def ask():
            answer = client.post(address + PREDICT, json={"instances": [TEXT]}, timeout=60)
            statuses.append(answer.status_code)
            return answer.json()["predictions"][0]["words"]

        def load():
            answers = []
            while not stop:
                answers.append(ask())
            return answers

        before = ask()
        running = [pool.submit(load) for _ in range(4)]
        push(exported_models / "second", versions, 2)
        deadline = time.monotonic() + 60
        while serving.versions.available() != [2] and time.monotonic() < deadline:
            time.sleep(0.05)
        status = []
        while ("1", "END") not in status and time.monotonic() < deadline:  # once its last requests are answered
            time.sleep(0.1)
            found = client.get(f"{address}/v1/models/lm").json()["model_version_status"]
            status = [(entry["version"], entry["state"]) for entry in found]
        gone = client.post(f"{address}/v1/models/lm/versions/1:predict", json={"instances": [TEXT]})
        after = ask()
        stop.append(True)
        answers = [future.result() for future in running]
    assert set(statuses) == {200}
    for answer in answers:  # of version 1, from some request on of version 2
        assert [words for words, _ in itertools.groupby(answer)] == [before, after] and before != after
    assert status == [("2", "AVAILABLE"), ("1", "END")]
    assert gone.status_code == 404


def test_a_version_that_cannot_be_loaded_leaves_the_last_working_one(exported_models, versions):
    serving = make_serving(versions)
    (versions / "2").mkdir()
    (versions / "2" / "saved_model.pb").write_bytes(b"half")
    serving.versions.refresh()
    assert serving.versions.available() == [1]
    broken = serving.versions.statuses(2)[0]
    assert broken["state"] == "END" and broken["status"]["error_message"]
    (versions / "2" / "saved_model.pb").unlink()
    (versions / "2").rmdir()
    push(exported_models / "second", versions, 2)  # now whole
    serving.versions.refresh()
    assert serving.versions.available() == [2, 1]
    with serving.versions.use(1):
        push(exported_models / "second", versions, 3)
        serving.versions.refresh()
        assert serving.versions.statuses(1)[0]["state"] == "UNLOADING"  # a request still uses it
    serving.versions.refresh()
    assert serving.versions.statuses(1)[0]["state"] == "END"
