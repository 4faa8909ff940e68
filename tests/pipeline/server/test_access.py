"""Who may send requests: not other sites' pages, and nobody without the token."""

import base64

import httpx
import pytest

from pipeline.exit_codes import USAGE_ERROR
from pipeline.serve import main
from pipeline.server.app import Access
from tests.pipeline.server.serving_folder import make_serving, push, serve

PREDICT = "/v1/models/lm:predict"
BODY = {"instances": ["w1"]}
TOKEN = b"0123456789abcdef-token"
LOCAL = Access(any_host=False)


@pytest.fixture(scope="module")
def serving(exported_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving")
    push(exported_models / "first", folder, 1)
    return make_serving(folder)


def statuses(client, **headers):
    """Status codes of the page, of the model's state, and of a prediction."""
    return [
        client.get("/", headers=headers).status_code,
        client.get("/v1/models/lm", headers=headers).status_code,
        client.post(PREDICT, json=BODY, headers=headers).status_code,
    ]


def test_on_loopback_only_its_own_names_are_answered(serving):
    with serve(serving, LOCAL) as address, httpx.Client(base_url=address) as client:
        port = address.rpartition(":")[2]
        for host in (
            "localhost",
            "LOCALHOST",
            f"localhost:{port}",
            "127.0.0.1",
            "127.1.2.3:1",
            "[::1]:80",
            "a.localhost",
        ):
            assert statuses(client, Host=host) == [200] * 3
        others = ["evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"]
        for host in [*others, "0.0.0.0", "[::]", "", "localhost@evil.example", "a" * 5000, "[", "localhost:x:y"]:
            assert statuses(client, Host=host) == [403] * 3
        refused = client.post(PREDICT, json=BODY, headers={"Host": "evil.example"}).json()["error"]
        assert "'evil.example'" in refused and "--allow-host" in refused


def test_requests_of_another_sites_page_are_refused(serving):
    with serve(serving, LOCAL) as address, httpx.Client(base_url=address) as client:
        assert statuses(client, Origin=address) == [200] * 3  # the server's own page
        for origin in ("https://evil.example", "null", "http://localhost:1", "", address + "0"):
            assert statuses(client, Origin=origin) == [403] * 3
        plain = client.post(PREDICT, content='{"instances": ["w1"]}', headers={"Content-Type": "text/plain"})
        assert plain.status_code == 200 and "access-control-allow-origin" not in plain.headers


def test_a_proxys_name_can_be_allowed(serving):
    access = Access(frozenset({"lm.example"}), any_host=False)
    with serve(serving, access) as address, httpx.Client(base_url=address) as client:
        assert statuses(client, Host="lm.example", Origin="https://lm.example") == [200] * 3
        assert statuses(client, Origin="https://lm.example") == [200] * 3
        assert statuses(client, Host="other.example") == [403] * 3


def test_with_a_token_everything_but_the_health_needs_it(serving):
    with serve(serving, Access(token=TOKEN)) as address, httpx.Client(base_url=address) as client:
        basic = base64.b64encode(b"anyone:" + TOKEN).decode()
        for right in (f"Bearer {TOKEN.decode()}", f"bearer  {TOKEN.decode()}", f"Basic {basic}"):
            assert statuses(client, Authorization=right) == [200] * 3
        for wrong in (
            "",
            "Bearer",
            "Bearer x",
            f"Bearer {TOKEN.decode()}x",
            f"Token {TOKEN.decode()}",
            "Basic !",
            "Basic Og==",
        ):
            assert statuses(client, Authorization=wrong) == [401] * 3
        assert statuses(client) == [401] * 3
        asked = client.get("/")
        assert asked.headers["www-authenticate"].startswith("Basic") and TOKEN.decode() not in asked.text
        assert [client.get(path).status_code for path in ("/metrics", "/about.json", "/nothing")] == [401] * 3
        assert client.get("/healthz").status_code == 200


def test_beyond_loopback_the_command_needs_a_token_or_no_token(versions, tmp_path, capsys):
    assert main(["--model", str(versions), "--host", "0.0.0.0", "--port", "0"]) == USAGE_ERROR
    error = capsys.readouterr().err
    assert "--token-file" in error and "--no-token" in error


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "no such host"])
def test_a_host_that_is_no_name_is_refused(versions, capsys, host):
    assert main(["--model", str(versions), "--host", host, "--no-token"]) == USAGE_ERROR
    assert f"Cannot listen on {host}:8501" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"short\n", b"a token with spaces in it", "tökenötökenötö".encode()])
def test_a_file_without_a_token_is_refused(versions, tmp_path, capsys, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    assert main(["--model", str(versions), "--port", "0", "--token-file", str(path)]) == USAGE_ERROR
    error = capsys.readouterr().err
    assert f"--token-file {path}" in error and (content is None or "openssl rand" in error)


def test_a_token_and_no_token_contradict_each_other(tmp_path):
    with pytest.raises(SystemExit, match="2"):
        main(["--no-token", "--token-file", str(tmp_path)])
