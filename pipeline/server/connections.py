"""Limits what a client can hold: size and time of a request's head and body, and the number of connections.

uvicorn has no such limits for httptools, the faster of its parsers. For h11 it limits the size of heads, but not the
time.
"""

import asyncio
import functools
import itertools
import resource
from typing import Any

import httptools
import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 64 * 1024  # the request line and the headers; also what is sent between or after the chunks of a body
HEAD_SECONDS = 10.0  # from a connection's or request's first byte to the end of its headers
BODY_SECONDS = 30.0  # from the end of the headers to the end of the body
UNSENT_SECONDS = 30.0  # how long a client may read nothing of its answer
LOOK_SECONDS = 1.0
MAX_CONNECTIONS = 1000
OTHER_FILES = 64  # open files that are not connections
TURNS = itertools.count()


def server_config(app: Any, grace_seconds: int | None = None) -> uvicorn.Config:
    """Returns uvicorn's configuration for an application.

    Args:
        app: The application.
        grace_seconds: Seconds that open requests may take after the server is asked to stop; None for any time.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = max(1, min(MAX_CONNECTIONS, files - OTHER_FILES))
    return uvicorn.Config(
        app,
        http=functools.partial(BoundedConnection, connections),
        ws="none",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace_seconds,
    )


class BoundedConnection(HttpToolsProtocol):
    """A client's connection.

    Args:
        max_connections: Above this number, the connection that has waited longest to send a request is closed.
        *args: Arguments of `HttpToolsProtocol`.
        **kwargs: Keyword arguments of `HttpToolsProtocol`.
    """

    def __init__(self, max_connections: int, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._max_connections = max_connections
        self._reading_head = True
        self._head_bytes = 0  # of the head, or since the last bytes of the body
        self._plain_head = b""  # the head without Upgrade, while a request that has one is read again
        self._turn = next(TURNS)  # lower values have been in their state for longer
        self._deadline: float | None = self.loop.time() + HEAD_SECONDS  # None while the client need not send anything
        self._unsent, self._unsent_since = 0, self.loop.time()
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts watching the connection, and closes the one that has waited longest if there are too many."""
        super().connection_made(transport)
        self._look = self.loop.call_later(LOOK_SECONDS, self._check_time)
        if len(self.connections) > self._max_connections:
            others = self.connections - {self}
            idle = [other for other in others if not (other.is_answering or other.transport.get_write_buffer_size())]
            taking = [other for other in others if not other.is_answering or other.cycle.response_started]
            # Clients that take their answers slowly must not shut others out, either.
            oldest = min(idle or taking or [self], key=lambda connection: connection._turn)
            oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops watching the connection."""
        self._look.cancel()
        super().connection_lost(exc)

    @property
    def is_answering(self) -> bool:
        """Whether a whole request has been read and not been answered yet."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def data_received(self, data: bytes) -> None:
        """Passes data on to the parser: of a head, or between the bytes of a body, only up to the largest size."""
        self._unset_keepalive_if_required()
        while data and not self.transport.is_closing():
            if self._deadline is None:  # the first bytes of another request
                self._turn, self._deadline = next(TURNS), self.loop.time() + HEAD_SECONDS
            # The parser copies a field whenever more of it comes, also one after a body (a trailer).
            room = HEAD_BYTES - self._head_bytes
            if not room:
                self._refuse(431, f"The request's headers have more than {HEAD_BYTES:,} bytes. Send fewer.")
                return
            part, data = data[:room], data[room:]
            self._head_bytes += len(part)
            self._parse(part)  # may be whole requests, after which the next head has the whole room

    def _parse(self, data: bytes) -> None:
        """Feeds the parser. A request with `Upgrade`, whose body it leaves out, is fed again without that field."""
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:  # its argument is the place where the head ends
                data, self._plain_head = self._plain_head + data[upgrade.args[0] :], b""
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
                return

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a field of the head. Those after a body are left out, as nobody asks for them."""
        if self._reading_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts the time limit of the body. A wish for another protocol (`Upgrade`) is ignored, as HTTP allows."""
        plain = [(name, value) for name, value in self.headers if name != b"upgrade"]
        if self.parser.should_upgrade() and len(plain) < len(self.headers):
            version = self.parser.get_http_version().encode()
            lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
            lines += [b"%s: %s" % field for field in plain]
            self._plain_head = b"\r\n".join([*lines, b"", b""])
            return
        self._reading_head, self._head_bytes = False, 0
        self._turn, self._deadline = next(TURNS), self.loop.time() + BODY_SECONDS
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Passes on some of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the time limit: the whole request has arrived."""
        if self._plain_head:
            return
        self._reading_head, self._head_bytes = True, 0
        self._turn, self._deadline = next(TURNS), None
        super().on_message_complete()

    def _check_time(self) -> None:
        """Closes the connection of a client that takes too long to send a request or to take its answer."""
        now = self.loop.time()
        self._look = self.loop.call_later(LOOK_SECONDS, self._check_time)
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent:
            self._unsent_since = now
        self._unsent = unsent
        if self.pipeline and self._deadline is not None:  # it is not read while earlier requests are answered
            self._deadline = now + (HEAD_SECONDS if self._reading_head else BODY_SECONDS)
        if now - self._unsent_since > UNSENT_SECONDS:
            self.transport.abort()
        elif self._deadline is not None and now > self._deadline and not self.is_answering:
            self._refuse(408, f"The request's {'headers' if self._reading_head else 'body'} took too long to arrive.")

    def _refuse(self, status: int, message: str) -> None:
        """Answers and closes the connection, or only closes it where an answer is on its way already."""
        self._deadline = None
        if self.is_answering or self.pipeline or (not self._reading_head and self.cycle.response_started):
            self.transport.abort()
        elif not self.transport.is_closing():
            body = orjson.dumps({"error": message})
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
            self.transport.close()
