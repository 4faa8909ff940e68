"""Connects the workers of one training before TensorFlow starts, and watches them while it trains.

TensorFlow waits for a missing worker without limit, ignores signals meanwhile, and hangs if a worker dies. So each
worker first connects to the chief, on the chief's address of `TF_CONFIG`, which TensorFlow takes over once all are
connected. The connections stay open: they carry lines of JSON, and end with their process. They are not encrypted or
authenticated; like TensorFlow's own connections they trust the network.
"""

import contextlib
import errno
import hashlib
import logging
import socket
import time
from collections.abc import Iterable, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from components.base import ComponentError
from components.trainer.connection import GREETING_SECONDS, Connection
from components.trainer.task import Task

PORT_SECONDS = 10.0  # longest wait for a port that a killed process had
NEWS_SECONDS = 5.0  # longest wait, after TensorFlow failed, for a message of the worker that caused it

logger = logging.getLogger(__name__)


class MeetingFailed(Exception):
    """Raised if the workers cannot start together: one is missing, or differs from the chief."""


class PeerLost(ComponentError):
    """Raised if another worker ended or failed during the training."""


class Peers:
    """The connections to the other workers; a worker that is not the chief is connected to the chief only.

    A context manager that closes all connections.

    Args:
        task: Which worker this is.
        connections: The connections by the other worker's index.
    """

    def __init__(self, task: Task, connections: Mapping[int, Connection]):
        self.task, self._connections = task, dict(connections)

    def __enter__(self) -> "Peers":
        return self

    def __exit__(self, *_) -> None:
        for connection in self._connections.values():
            connection.close()

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets that become readable when a worker ends or sends a message."""
        return [connection.socket for connection in self._connections.values()]

    def send_to_all(self, **message: Any) -> None:
        """Sends a message to all connected workers. A worker that has ended is noticed by `hear`.

        Args:
            **message: The message's fields, JSON values.
        """
        for connection in self._connections.values():
            connection.send(message)

    def hear(self, seconds: float | None) -> list[tuple[int, dict[str, Any]]]:
        """Waits for messages.

        Args:
            seconds: Longest time to wait; None waits without limit.

        Returns:
            The messages of the workers that sent one first, with their indices; empty after that time.

        Raises:
            PeerLost: If a worker has ended, or reports that it failed.
        """
        ready = wait(self.sockets, seconds)
        messages = []
        for index, connection in self._connections.items():
            if connection.socket in ready:
                message = connection.receive(GREETING_SECONDS)
                if message is None:
                    raise PeerLost(
                        f"{self.task.name(index)} ended or cannot be reached. Start all workers again with "
                        "the same command: training resumes from its last checkpoint."
                    )
                if message.get("failed"):
                    raise PeerLost(f"{self.task.name(index)} failed: {message['failed']}")
                messages.append((index, message))
        return messages

    def start_training(self, inputs: Mapping[str, Path], seconds: float) -> None:
        """Sends the inputs to all workers and waits until each has found the same files. Only the chief calls this.

        Args:
            inputs: Folders of the Trainer's inputs, by key.
            seconds: Longest time to wait for the answers.

        Raises:
            PeerLost: If a worker found other files, has ended, or does not answer in time.
        """
        paths = {key: str(path.absolute()) for key, path in inputs.items()}
        self.send_to_all(train=paths, digests={key: digest(path) for key, path in inputs.items()})
        missing, end = set(self._connections), time.monotonic() + seconds
        while missing:
            answers = self.hear(max(0.0, end - time.monotonic()))
            missing -= {index for index, message in answers if message.get("ready")}
            if missing and time.monotonic() > end:
                names = ", ".join(self.task.name(index) for index in sorted(missing))
                raise PeerLost(f"{names} did not answer in {seconds:g} s (trainer.meeting_seconds).")

    def problem(self) -> str | None:
        """Returns why another worker ended the training, or None if no worker did."""
        try:
            self.hear(NEWS_SECONDS)
        except PeerLost as lost:
            return str(lost)
        return None


def meet(task: Task, settings: Mapping[str, str], seconds: float) -> Peers:
    """Waits until all workers are connected, and compares their settings with the chief's.

    Args:
        task: Which worker this is.
        settings: Digests and versions by name, which must be the same on all workers.
        seconds: Longest time to wait for the others.

    Raises:
        MeetingFailed: If this worker's port cannot be used, a worker is missing, or one has other settings; the message
            names it.
    """
    with contextlib.closing(_listen(task)) as listener:
        if task.is_chief:
            return Peers(task, _gather(task, listener, settings, seconds))
    return Peers(task, {0: _join(task, settings, seconds)})


def _listen(task: Task) -> socket.socket:
    """Opens this worker's port, which TensorFlow will need later."""
    host, port = task.addresses[task.index]
    end = time.monotonic() + PORT_SECONDS
    while True:
        try:
            return _bound(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                problem = f"this machine cannot listen at that address ({error.strerror or error})"
            elif time.monotonic() > end:
                problem = "its port is in use by another process. End that process, or give each worker another port"
            else:
                time.sleep(0.5)
                continue
            raise MeetingFailed(f"TF_CONFIG names {host}:{port} for {task.name(task.index)}: {problem}.") from error


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL:
            raise
    return socket.create_server(("", port), backlog=128)  # the name may be known only to other machines


def _gather(task: Task, listener: socket.socket, settings: Mapping[str, str], seconds: float) -> dict[int, Connection]:
    """Accepts the connections of all workers and compares their settings with the chief's. For the chief only."""
    connections: dict[int, Connection] = {}
    end, missing = time.monotonic() + seconds, set(range(1, len(task.addresses)))
    logger.info("Waiting for %s, at most %g s.", _names(task, missing), seconds)
    try:
        while missing:
            listener.settimeout(max(0.01, end - time.monotonic()))
            try:
                connected, _ = listener.accept()
            except TimeoutError:
                raise MeetingFailed(
                    f"{_names(task, missing)} did not come within {seconds:g} s (trainer.meeting_seconds). Start every "
                    "worker with the same command and its own TF_CONFIG."
                ) from None
            connection = Connection(connected)
            hello = connection.receive(GREETING_SECONDS)
            index = (hello or {}).get("worker")
            if not isinstance(index, int) or index not in missing:
                connection.close()  # not a worker, or TensorFlow of a worker that was killed
                continue
            connections[index] = connection
            missing.remove(index)
            if differing := _differing(settings, hello.get("settings", {})):
                raise MeetingFailed(
                    f"{task.name(index)} differs from the chief in {', '.join(differing)}. Start all workers with the "
                    "same configuration and the same installation."
                )
    except BaseException as error:
        for connection in connections.values():
            if isinstance(error, MeetingFailed):
                connection.send({"refused": str(error)})
            connection.close()
        raise
    for connection in connections.values():
        connection.send({"met": True})
    return connections


def _join(task: Task, settings: Mapping[str, str], seconds: float) -> Connection:
    """Connects a worker to the chief and waits until the chief has found all workers."""
    end = time.monotonic() + seconds
    logger.info("Waiting for %s, at most %g s.", task.name(0), seconds)
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            connection = Connection(socket.create_connection(task.addresses[0], timeout=GREETING_SECONDS))
            connection.send({"worker": task.index, "settings": dict(settings)})
            answer = connection.receive(seconds + GREETING_SECONDS)  # the chief may wait for others
            if answer and answer.get("met"):
                return connection
            connection.close()
            if answer and answer.get("refused"):
                raise MeetingFailed(f"The chief refused to start: {answer['refused']}")
        time.sleep(0.5)  # the chief does not listen yet, or a TensorFlow that is about to end still does
    raise MeetingFailed(
        f"{task.name(0)} did not come within {seconds:g} s (trainer.meeting_seconds). Start every worker with the same "
        "command and its own TF_CONFIG."
    )


def _names(task: Task, indices: Iterable[int]) -> str:
    return ", ".join(task.name(index) for index in sorted(indices))


def _differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def digest(folder: Path) -> str:
    """Computes the SHA-256 of an artifact's small files (a vocabulary, the splits' indexes) and of all its file sizes.

    Args:
        folder: The artifact's folder.

    Raises:
        OSError: If a file cannot be read.
    """
    total = hashlib.sha256()
    for path in sorted(path for path in [*folder.iterdir(), *folder.glob("*/*")] if path.is_file()):
        total.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
        if path.suffix in (".json", ".txt"):
            total.update(path.read_bytes())
    return total.hexdigest()
