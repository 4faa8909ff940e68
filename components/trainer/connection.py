"""A connection between two workers of one training."""

import contextlib
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

GREETING_SECONDS = 5.0  # longest wait for the first line of a new connection
LONGEST_LINE = 2**20


class Connection:
    """Lines of JSON over TCP. It notices within half a minute that the other machine is gone.

    Args:
        connected: A connected socket.
    """

    def __init__(self, connected: socket.socket):
        self.socket = connected
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message; does nothing if the other worker has ended.

        Args:
            message: The message, which JSON can express.
        """
        with contextlib.suppress(OSError):
            self.socket.settimeout(GREETING_SECONDS)
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Returns the next message.

        Args:
            seconds: Longest time to wait.

        Returns:
            The message, or None if the other side has ended, sent none in time, or is not a worker.
        """
        line, end = b"", time.monotonic() + seconds
        try:
            while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                self.socket.settimeout(max(0.01, end - time.monotonic()))
                byte = self.socket.recv(1)  # never more than one line: `wait` does not see data that is already read
                if not byte:
                    return None
                line += byte
            message = json.loads(line)
            return message if isinstance(message, dict) else None
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()
