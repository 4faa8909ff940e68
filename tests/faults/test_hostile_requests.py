"""Hostile request bodies: each case is refused with a short message, or gives inputs of the signature's types.

What a server makes of connections, headers and sizes is in `tests/pipeline/server/test_hostile.py`.
"""

import gzip

from pipeline.server import bodies, tensors
from pipeline.server.errors import RequestError
from tests.faults.hostile_cases import OTHER_FILES, check, damaged

SPECS = {
    "prompt": tensors.TensorSpec("DT_STRING", (None,)),
    "max_words": tensors.TensorSpec("DT_INT32", (None,)),
    "temperature": tensors.TensorSpec("DT_FLOAT", (None,)),
}
VALUES = [
    "null", "true", "-1", "2147483648", "1e400", "-1e400", "NaN", "Infinity", "1e39", "9" * 400, '"a"', '"\\ud800"',
    '"\\u0000"', "[]", "[[]]", "[[1], 2]",
    "[1, [2]]", "{}", '{"b64": 1}', '{"b64": "*"}', '{"b64": "YQ"}', '{"b64": "YQ==", "c": 1}', "[" * 60 + "]" * 60,
    "[null]", '["a", 1]', "[[], [1]]",
]  # fmt: skip


def test_hostile_request_bodies_are_refused():
    def send(body):
        return tensors.to_tensors(tensors.parse(body), SPECS)

    row = {"prompt": '"a"', "max_words": "1", "temperature": "1.0"}

    def instance(name, value):
        return "{" + ", ".join(f'"{key}": {value if key == name else good}' for key, good in row.items()) + "}"

    texts = [f'{{"instances": [{instance(name, value)}]}}' for name in row for value in VALUES]
    texts += [f'{{"inputs": {instance(name, value)}}}' for name in row for value in VALUES]
    texts += [f'{{"instances": {value}}}' for value in VALUES] + [f'{{"inputs": {value}}}' for value in VALUES] + VALUES
    texts += [
        '{"instances": [{}]}',
        '{"a": 1}',
        "{",
        '{"instances"',
        '{"instances": [1,]}',
        '{"instances": [1] "a"}',
        "[" * 100_000,
        '{"a":' * 50_000,
    ]
    bodies_ = [text.encode() for text in texts] + list(OTHER_FILES.values()) + [b'{"instances": ["\xff"]}']
    cases = [(str(body[:80]), "", lambda body=body: send(body)) for body in bodies_]

    def accepted(name, found):
        return all(tensor.shape[0] >= 0 and tensor.ndim == 1 for tensor in found[1].values())

    check(200, cases, RequestError, accepted)


def test_hostile_compressed_bodies_are_refused():
    whole = gzip.compress(b'{"instances": ["a"]}' * 50)
    bombs = {
        "a bomb": gzip.compress(b" " * 50_000_000, 9),
        "many members": gzip.compress(b"") * 2000,
        "two bombs": gzip.compress(b" " * 900_000, 9) * 40,
    }
    contents = [*damaged(whole, 20, 10), *bombs.items()]
    cases = [(name, "", lambda content=content: bodies.decompress(content, 1 << 20)) for name, content in contents]
    check(40, cases, RequestError, lambda name, plain: len(plain) <= 1 << 20)
