"""Workers that connect on loopback: a missing or differing one is named, and a lost one is noticed at once."""

import concurrent.futures
import socket
import time

import pytest

from components.trainer import peers
from components.trainer.task import Task

SETTINGS = {"trainer.seed": "1", "the project's code": "abc"}


@pytest.fixture
def addresses():
    """The addresses of three workers."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    free = tuple(server.getsockname() for server in servers)
    for server in servers:
        server.close()
    return free


def meet(addresses, settings=(SETTINGS,) * 3, seconds=10.0):
    """The result of each worker: its peers, or the message with which it is refused."""

    def one(index):
        try:
            return peers.meet(Task(addresses, index), settings[index], seconds)
        except peers.MeetingFailed as error:
            return str(error)

    indices = [index for index, of_worker in enumerate(settings) if of_worker is not None]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, reversed(indices)))[::-1]


def test_all_meet_on_the_chiefs_address_which_is_free_again(addresses):
    chief, *others = meet(addresses)
    with chief, others[0], others[1]:
        assert len(chief.sockets) == 2 and all(len(other.sockets) == 1 for other in others)
        socket.create_server(addresses[0]).close()  # as TensorFlow will
        chief.send_to_all(train={"vocabulary": "/somewhere"})
        assert [other.hear(5) for other in others] == [[(0, {"train": {"vocabulary": "/somewhere"}})]] * 2


def test_a_worker_that_differs_is_named_to_all(addresses):
    results = meet(addresses, (SETTINGS, SETTINGS, SETTINGS | {"trainer.seed": "2"}))
    assert "worker 2 (127.0.0.1:" in results[0] and "differs from the chief in trainer.seed." in results[0]
    assert all("worker 2" in message for message in results if "refused" in message)
    assert "differs from the chief" in results[2]


def test_a_worker_that_is_missing_is_named_to_all(addresses):
    clock = time.monotonic()
    chief, other = meet(addresses, (SETTINGS, None, SETTINGS), seconds=1.5)
    assert "worker 1 (127.0.0.1:" in chief and "did not come within 1.5 s" in chief and "worker 2" not in chief
    assert "worker 1" in other and time.monotonic() - clock < 10


def test_a_chief_that_is_missing_is_named(addresses):
    [one, _] = meet(addresses, (None, SETTINGS, SETTINGS), seconds=1.0)
    assert "worker 0, the chief (127.0.0.1:" in one and "did not come within 1 s" in one


def test_a_connection_that_is_not_a_worker_is_ignored(addresses):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        chief = pool.submit(peers.meet, Task(addresses[:2], 0), SETTINGS, 20.0)
        for content in (b"PRI * HTTP/2.0\r\n\r\n", b"[1]\n", b'{"worker": [1]}\n', b'{"worker": 0}\n'):
            for _ in range(50):
                try:
                    with socket.create_connection(addresses[0]) as stranger:
                        stranger.sendall(content)
                    break
                except ConnectionRefusedError:
                    time.sleep(0.1)
        with peers.meet(Task(addresses[:2], 1), SETTINGS, 20.0), chief.result(20) as met:
            assert len(met.sockets) == 1


def test_a_lost_worker_is_noticed_at_once_and_a_failed_one_says_why(addresses):
    chief, *others = meet(addresses)
    with chief, others[0]:
        others[1].__exit__()
        with pytest.raises(peers.PeerLost, match=r"worker 2 \(127.0.0.1:\d+\) ended or cannot be reached"):
            chief.hear(5)
        chief.send_to_all(failed="ExampleGen: no text")
        with pytest.raises(peers.PeerLost, match="worker 0, the chief .* failed: ExampleGen: no text"):
            others[0].hear(5)


def test_a_worker_that_does_not_find_the_inputs_in_time_is_named(addresses, tmp_path):
    (tmp_path / "vocabulary.txt").write_text("a\n")
    chief, *others = meet(addresses)
    with chief, others[0], others[1]:
        others[0].send_to_all(ready=True)
        with pytest.raises(peers.PeerLost, match=r"worker 2 \(127.0.0.1:\d+\) did not answer in 0.5 s"):
            chief.start_training({"vocabulary": tmp_path}, 0.5)


def test_the_digest_of_an_artifact_depends_on_its_words(tmp_path):
    (tmp_path / "Split-train").mkdir()
    (tmp_path / "Split-train" / "index.json").write_text("{}")
    (tmp_path / "vocabulary.txt").write_text("a\n")
    before = peers.digest(tmp_path)
    assert peers.digest(tmp_path) == before
    (tmp_path / "vocabulary.txt").write_text("b\n")
    assert peers.digest(tmp_path) != before
