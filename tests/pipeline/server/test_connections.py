"""What a client can hold: the size and time of a request, the number of connections. Plain sockets, a real server."""

import json
import socket
import time

import httpx
import pytest

from pipeline.server import connections
from pipeline.server.app import Access
from tests.pipeline.server.serving_folder import make_serving, push, serve
from tests.pipeline.server.test_hostile import wait_for

BODY = b'{"instances": ["w1"]}'
HEAD = b"POST /v1/models/lm:predict HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def serving(exported_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    push(exported_models / "first", folder, 1)
    return make_serving(folder)


@pytest.fixture
def port(serving):
    with serve(serving) as address:
        yield int(address.rpartition(":")[2])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def read_all(connection):
    """What comes until the server closes the connection."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def ask(connection):
    """One request over a kept connection; its status line."""
    connection.sendall(REQUEST)
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD, b"X-Header: " + b"a" * 1000 + b"\r\n"),  # many headers
        (HEAD + b"X-Header: ", b"a" * 1000),  # one
        (HEAD, b"a" * 1000),  # a name
        (b"GET /", b"a" * 1000),  # an address
        (CHUNKED + b"0\r\n", b"X-Header: " + b"a" * 1000 + b"\r\n"),  # headers after the body
        (CHUNKED + b"0\r\nX-Header: ", b"a" * 1000),
        (CHUNKED + b"5;", b"a" * 1000),  # an extension of a chunk
    ],
)
def test_headers_beyond_64_kibibytes_are_refused(port, start, piece):
    with connect(port) as connection:
        connection.sendall(start)
        try:
            for _ in range(100_000):  # 100 MB
                connection.sendall(piece)
        except OSError:
            pass
        else:
            pytest.fail("100 MB of headers were taken.")
    with connect(port) as connection:
        connection.sendall(start + piece * 150)  # in one write
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 431 ") and b"more than 65,536 bytes" in received


def test_large_headers_within_the_limit_and_large_bodies_are_taken(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(3):  # over one connection
            answer = client.post("/v1/models/lm:predict", content=BODY, headers={"X-Header": "a" * 60_000})
            assert answer.status_code == 200
            answer = client.post("/v1/models/lm:predict", content=b" " * 7_000_000 + BODY)
            assert answer.status_code == 200


def test_headers_after_a_body_are_bounded_for_a_client_without_the_token(serving):
    with serve(serving, Access(token=b"0123456789abcdef")) as address:
        with connect(int(address.rpartition(":")[2])) as connection:
            connection.sendall(CHUNKED + b"0\r\nX-Header: ")
            assert connection.recv(12) == b"HTTP/1.1 401"
            with pytest.raises(OSError):
                for _ in range(100_000):  # 100 MB
                    connection.sendall(b"a" * 1000)


def test_headers_after_a_body_are_left_out(port):
    with connect(port) as connection:
        body = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in b" " * 20_000 + BODY)  # 120 KB, a byte in each chunk
        connection.sendall(CHUNKED + body + b"0\r\nContent-Encoding: br\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade"])
@pytest.mark.parametrize("pieces", [1, 2, 10])
def test_a_request_to_change_the_protocol_is_answered_as_without(port, caplog, name, pieces):
    """As Java's HttpClient and `curl --http2` send it."""
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n%s: h2c\r\nHost" % name
    chunks = CHUNKED.replace(b"Host", wish) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    sent = REQUEST.replace(b"Host", wish) + chunks + GET.replace(b"Host", wish)
    sent += REQUEST.replace(b"Host", b"Connection: close\r\nHost")
    with connect(port) as connection:
        for place in range(pieces):
            connection.sendall(sent[place * len(sent) // pieces : (place + 1) * len(sent) // pieces])
            time.sleep(0.02)
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 200 ") == 4 and received.count(b"predictions") == 3
    assert not caplog.records


@pytest.mark.parametrize("start", [b"CONNECT localhost:80 HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01\r\n"])
def test_what_is_no_request_is_refused_at_once(port, start):
    with connect(port) as connection:
        connection.sendall(start + b"Connection: upgrade\r\nUpgrade: h2c\r\nHost: localhost\r\n\r\n" + REQUEST)
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


def test_pipelined_requests_are_answered_in_turn(port):
    with connect(port) as connection:
        connection.sendall(REQUEST * 20 + REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
        assert read_all(connection).count(b"HTTP/1.1 200 ") == 21


def test_pipelined_requests_of_more_bytes_than_a_head_may_have_are_answered(port):
    number = 2 * connections.HEAD_BYTES // len(GET) + 1
    with connect(port) as connection:
        connection.sendall(GET * number + GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert read_all(connection).count(b"HTTP/1.1 200 ") == number + 1


def test_a_pipelined_body_may_take_as_long_as_the_answers_before_it(monkeypatch, port):
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.5)
    row = {"prompt": "w1", "max_words": 10_000, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 1}
    long = json.dumps({"signature_name": "generate", "instances": [row] * 2}).encode()
    with connect(port) as connection:
        last = REQUEST.replace(b"Host", b"Connection: close\r\nHost")
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(long) + long + last[:-5])
        start = time.monotonic()
        while not (received := connection.recv(65536)):
            pass
        assert time.monotonic() - start > 1.5, "the long answer must take longer than a look"
        connection.sendall(last[-5:])
        assert (received + read_all(connection)).count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", b"headers took too long"),
        (HEAD, b"headers took too long"),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"body took too long"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{   ", b"body took too long"),
    ],
)
def test_a_client_that_takes_too_long_is_dropped_with_a_reason(monkeypatch, port, sent, words):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.5)
    with connect(port) as connection:
        start = time.monotonic()
        connection.sendall(sent)
        received = read_all(connection)
    assert time.monotonic() - start < 5
    assert received.startswith(b"HTTP/1.1 408 ") and words in received


def test_a_client_that_drips_its_headers_is_dropped(monkeypatch, port):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    with connect(port) as connection:
        start = time.monotonic()
        with pytest.raises(OSError):
            for byte in HEAD + b"X-Header: " + b"a" * 1000:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
    assert time.monotonic() - start < 10


def test_time_between_requests_and_for_an_answer_does_not_count(monkeypatch, port):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    with connect(port) as connection:
        for _ in range(3):
            assert ask(connection) == b"HTTP/1.1 200 OK"
            time.sleep(1.5)


def test_a_client_that_does_not_read_its_answer_is_disconnected(monkeypatch, serving, port):
    monkeypatch.setattr(connections, "UNSENT_SECONDS", 1.0)
    body = b'{"signature_name": "score", "inputs": ["%s"]}' % (b"w1 " * 100_000)  # an answer of megabytes
    request = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.settimeout(20)
        connection.sendall(request)
        deadline = time.monotonic() + 60
        while b"200" not in connection.recv(12) and time.monotonic() < deadline:
            pass
        time.sleep(5)
        received = read_all(connection)
    assert len(received) < 2_000_000  # the rest was thrown away


def take_slowly(port):
    """Asks for an answer of five megabytes, and takes no more than its first bytes."""
    inputs = {"token_ids": [1] * 5000, "state": [[[[0] * 16] * 2] * 2] * 5000}
    body = json.dumps({"signature_name": "step", "inputs": inputs}).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.settimeout(20)
    connection.sendall(HEAD.replace(b"Host", b"Connection: close\r\nHost") + b"Content-Length: %d\r\n\r\n" % len(body))
    connection.sendall(body)
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    return connection


def test_idle_connections_do_not_cut_off_an_answer_and_it_counts_until_it_is_taken(monkeypatch, serving):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    with serve(serving) as address:
        port = int(address.rpartition(":")[2])
        with take_slowly(port) as slow:
            idle = [connect(port) for _ in range(10)]
            assert all(read_all(connection) == b"" for connection in idle[:6])  # the oldest were closed
            assert serving.held_bytes > 1_000_000
            head, _, body = read_all(slow).partition(b"\r\n\r\n")
        assert b"content-length: %d" % len(body) in head and body.endswith(b"}")
        wait_for(lambda: serving.held_bytes == 0)
        for connection in idle:
            connection.close()


def test_clients_that_take_their_answers_slowly_shut_nobody_out(monkeypatch, serving):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    with serve(serving) as address:
        port = int(address.rpartition(":")[2])
        with take_slowly(port) as first, take_slowly(port) as second, connect(port) as third:
            assert ask(third) == b"HTTP/1.1 200 OK"
            assert not read_all(first).endswith(b"}") and read_all(second).endswith(b"}")


def test_idle_connections_shut_nobody_out(monkeypatch, serving):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 10)
    with serve(serving) as address:
        port = int(address.rpartition(":")[2])
        kept = [connect(port) for _ in range(30)]
        for half in kept[15:]:
            half.sendall(HEAD)
        try:
            assert httpx.post(f"{address}/v1/models/lm:predict", content=BODY).status_code == 200
            assert all(read_all(connection) == b"" for connection in kept[:15])  # the oldest were closed
            assert ask_the_rest(kept[-1]) == b"HTTP/1.1 200 OK"
        finally:
            for connection in kept:
                connection.close()


def ask_the_rest(connection):
    connection.sendall(REQUEST.removeprefix(HEAD))
    return connection.recv(15)
