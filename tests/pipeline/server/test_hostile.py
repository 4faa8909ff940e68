"""What an attacker or a broken client sends is refused with its reason, and does not affect other clients."""

import gzip
import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from pipeline.server import bodies
from pipeline.server.app import Limits, ModelServer
from tests.pipeline.server.serving_folder import make_serving, serve

PREDICT = "/v1/models/lm:predict"
GENERATE = {"prompt": "w1", "max_words": 3, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
DEEP = "[" * 500 + '"a"' + "]" * 500
DEEPER = "[" * 900 + '"a"' + "]" * 900
DIGITS = "1" * 5000


@pytest.fixture(scope="module")
def client(folder):
    with serve(make_serving(folder)) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def generate(**changes):
    return json.dumps({"signature_name": "generate", "instances": [GENERATE, GENERATE | changes]})


def step(ids, rows=1, value=0.0):
    state = [[[[value] * 16] * 2] * 2] * rows
    return json.dumps({"signature_name": "step", "inputs": {"token_ids": ids, "state": state}})


BODY = json.dumps({"instances": ["w1 w2"]}).encode()


@pytest.mark.parametrize(
    "content", [gzip.compress(BODY), gzip.compress(BODY[:7]) + gzip.compress(BODY[7:])], ids=["whole", "two members"]
)
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_a_compressed_body_gets_the_answer_of_the_plain_one(client, content, encoding):
    answer = client.post(PREDICT, content=content, headers={"Content-Encoding": encoding})
    assert answer.status_code == 200 and answer.json() == client.post(PREDICT, content=BODY).json()


@pytest.mark.parametrize(
    ("content", "encoding", "status", "words"),
    [
        (BODY, "gzip", 400, "is not gzip, as its Content-Encoding says"),
        (gzip.compress(BODY, mtime=0)[:-9], "gzip", 400, "ends before its gzip data do"),
        (gzip.compress(BODY, mtime=0) + b"more", "gzip", 400, "is not gzip"),
        (gzip.compress(b" " * (9 * 2**20), mtime=0), "gzip", 413, "--max-body-bytes"),
        (gzip.compress(b" " * (300 * 2**20), 1, mtime=0), "gzip", 413, "--max-body-bytes"),
        (BODY, "br", 415, "'br' is not known; expected gzip or none"),
        (BODY, "gzip, gzip", 415, "expected gzip or none"),
        (BODY, "z" * 5000, 415, "expected gzip or none"),
        (b"", "gzip", 400, "The document is empty"),
    ],
)
def test_a_body_that_cannot_be_decompressed_is_refused(client, content, encoding, status, words):
    answer = client.post(PREDICT, content=content, headers={"Content-Encoding": encoding})
    assert answer.status_code == status and words in answer.json()["error"] and len(answer.content) < 1100
    assert (answer.headers.get("accept-encoding") == "gzip") == (status == 415)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (generate(temperature=float("nan")), "temperature must be finite, 0 or more, found nan"),
        (generate(temperature=float("inf")), "temperature must be finite, 0 or more, found inf"),
        (generate(temperature=-1), "temperature must be finite, 0 or more, found -1"),
        (generate(top_p=float("nan")), "top_p must be from 0 to 1, found nan"),
        (generate(top_p=1.5), "top_p must be from 0 to 1, found 1.5"),
        (generate(top_k=-2), "top_k must be at least 0 (0 means all words), found -2"),
        (generate(max_words=-3), "max_words must be at least 0, found -3"),
        (step([40]), "token_ids must be from 0 to 39, found 40"),
        (step([-1]), "token_ids must be from 0 to 39, found -1"),
        (step([1, 2]), "step takes one state for each token id."),
        (step([1], value=float("nan")), "state must be finite, found nan"),
        (json.dumps({"signature_name": "generate", "inputs": {k: [v] * (1 + (k == "prompt")) for k, v in
         GENERATE.items()}}), "generate takes one max_words for each prompt."),
        (f'{{"inputs": {DEEP}}}', "nested more than 16 deep"),
        (f'{{"inputs": {DEEPER}}}', "nested more than 16 deep"),
        (f'{{"instances": {DEEP}}}', "nested more than 16 deep"),
        (f'{{"instances": {DEEPER}}}', "nested more than 16 deep"),
        (f'{{"instances": ["a", {DEEPER}]}}', "nested more than 16 deep"),
        (f'{{"instances": ["a"], "inputs": {DEEPER}}}', "expecting only one of 'inputs' or 'instances'"),
        (f'{{"instances": {{"a": {DEEPER}}}}}', "Excepting 'instances' to be an list/array"),
        (f'{{"signature_name": {DEEPER}}}', "'signature_name' key must be a string value"),
        (DEEPER, "Is not object"),
        (json.dumps({"signature_name": "s" * 10**6, "instances": ["a"]}), "not found in signature def"),
        (json.dumps({"instances": [{"t" * 10**6: "a"}]}), "does not have named input"),
        (json.dumps({"instances": [{"text": "a", "t" * 10**6: "a"}]}), "does not have named input"),
        (json.dumps({"instances": [7, "a" * 10**6]}), "is not of expected type: string"),
        (json.dumps({"instances": [{"b64": "a" * 999_999, "c": 1}]}), "does not have named input"),
        (f'{{"instances": [{DIGITS}]}}', "JSON Parse error"),
        (json.dumps({"instances": ["a"] * 10_001}), "10,001 examples; at most 10,000 are taken"),
        (json.dumps({"inputs": ["a"] * 10_001}), "10,001 examples; at most 10,000 are taken"),
        (json.dumps({"inputs": {"text": ["a"] * 10_001}}), "10,001 examples; at most 10,000 are taken"),
        (json.dumps({"signature_name": "\ud800", "instances": ["a"]}), 'name: "?" not found in signature def'),
        (json.dumps({"instances": [{"\udfff": "a"}]}), "does not have named input: ?"),
        (json.dumps({"signature_name": "generate", "instances": [GENERATE | {"max_words": 10_000}] * 3000}),
         "3,000 texts of up to 10,000 words; at most 20,000 words"),
        (json.dumps({"signature_name": "generate", "instances": [GENERATE | {"max_words": 2**31 - 1}] * 3}),
         "at most 20,000 words"),
    ],
    ids=range(34),
)  # fmt: skip
def test_invalid_requests_are_refused_with_a_short_message(client, caplog, body, words):
    answer = client.post(PREDICT, content=body)
    assert answer.status_code == 400 and words in answer.json()["error"]
    assert len(answer.content) < 1100 and not caplog.records


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", f"/v1/models/lm/versions/{DIGITS}", 400, "Failed to convert version"),
        ("POST", f"/v1/models/lm/versions/{DIGITS}:predict", 400, "Failed to convert version"),
        ("GET", f"/v1/models/lm/versions/{'0' * 5000}1", 200, "AVAILABLE"),
        ("GET", f"/v1/models/{'m' * 9000}", 404, "Could not find any versions"),
        ("GET", "/v1/models/{0.__class__}", 404, "Could not find any versions of model {0.__class__}"),
        ("POST", f"/v1/models/{'m' * 9000}:predict", 404, "Servable not found"),
        ("GET", f"/v1/models/lm/labels/{'l' * 9000}", 400, "Unrecognized servable version label"),
        ("DELETE", f"/v1/{'p' * 9000}", 400, "Malformed request: DELETE"),
    ],
)
def test_addresses_of_any_length_get_a_short_answer(client, caplog, method, path, status, words):
    answer = client.request(method, path, content=BODY if method == "POST" else None)
    assert answer.status_code == status and words in answer.text
    assert len(answer.content) < 1100 and not caplog.records


def test_no_answer_reveals_where_the_files_are(exported_models, versions):
    broken = versions / "2"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"half")
    with serve(make_serving(versions)) as address:
        paths = ["/v1/models/lm", "/v1/models/lm/versions/2", "/v1/models/lm/metadata", "/about.json", "/healthz"]
        answers = [httpx.get(address + path).text for path in [*paths, "/metrics", "/", "/nothing", "/page.css/../.."]]
        answers += [httpx.post(address + PREDICT, content=body).text for body in (step([99]), "{", generate(top_k=-1))]
    assert "the server's log says why" in answers[0]
    for answer in answers:
        assert str(versions) not in answer and "site-packages" not in answer and ".py" not in answer


def test_what_requests_hold_is_bounded_in_sum_and_small_ones_are_taken_still(folder):
    serving = make_serving(folder, limits=Limits(body_bytes=300_000, held_bytes=500_000))
    with serve(serving) as address, httpx.Client(base_url=address, timeout=60) as client:
        port = int(address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as one, socket.create_connection(("127.0.0.1", port)) as two:
            for half in (one, two):  # each keeps 240,000 bytes here
                half.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 290000\r\n\r\n" % PREDICT.encode())
                half.sendall(b" " * 240_000)
            wait_for(lambda: serving.held_bytes == 480_000)
            with serving.holding() as hold:
                hold(30_000)  # now all is taken
                refused = client.post(PREDICT, content=b" " * 90_000 + BODY)
                assert refused.status_code == 503 and "more than 500,000 bytes together" in refused.json()["error"]
                assert refused.headers["retry-after"] == "1"
                assert client.post(PREDICT, content=b" " * 50_000 + BODY).status_code == 200
        wait_for(lambda: serving.held_bytes == 0)
        assert client.post(PREDICT, content=b" " * 90_000 + BODY).status_code == 200


def test_an_answer_takes_the_place_of_its_requests_body():
    serving = ModelServer("lm", Path("none"), 1, Limits(held_bytes=400_000), lambda path, version: None)
    with serving.holding() as first, serving.holding() as second:
        for hold in (first, second):
            hold(300_000)
        assert serving.held_bytes == 600_000
        for hold in (first, second):
            hold(100_000, instead=True)
        assert serving.held_bytes == 200_000
    assert serving.held_bytes == 0


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_examples_beyond_the_limit_are_refused_before_they_are_read(folder):
    body = b'{"instances": [%s]}' % b",".join([b'""'] * 2_700_000)  # 8 MB: seven seconds to read
    with serve(make_serving(folder)) as address:
        start = time.process_time()
        answer = httpx.post(f"{address}{PREDICT}", content=body, timeout=60)
        assert answer.status_code == 400 and "2,700,000 examples" in answer.json()["error"]
        assert time.process_time() - start < 3


def test_a_body_of_many_gzip_members_is_read_in_time_that_grows_with_its_size():
    body = gzip.compress(b"") * 100_000
    start = time.process_time()
    assert bodies.decompress(body, 1 << 20) == b""
    assert time.process_time() - start < 2  # with the rest copied for each member 2.9 s
