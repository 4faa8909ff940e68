"""Sends requests for next words to a server on this machine, over several connections, in a separate process.

    python -m benchmarks.http_load PORT CONNECTIONS SECONDS CONTEXT

Prints JSON: requests/s, median and 99th percentile in milliseconds, errors. It uses plain sockets, so that the client
takes little processor time from the server.
"""

import asyncio
import json
import statistics
import sys
import time


async def connection(port: int, request: bytes, until: float, seconds: list[float], errors: list[str]) -> None:
    """Sends one request after another over one connection until the time is up.

    Args:
        port: Port of the server.
        request: The HTTP request, head and body.
        until: End, on the clock of `time.perf_counter`.
        seconds: List that gets the seconds of each request.
        errors: List that gets the message of each failure.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        start = time.perf_counter()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            if not head.startswith(b"HTTP/1.1 200"):
                errors.append(head.split(b"\r\n")[0].decode())
        except (OSError, asyncio.IncompleteReadError) as error:
            errors.append(repr(error))
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        seconds.append(time.perf_counter() - start)
    writer.close()


async def load(port: int, connections: int, duration: float, context: str) -> dict[str, float]:
    """Sends requests over all connections at once.

    Args:
        port: Port of the server.
        connections: Number of connections.
        duration: Seconds.
        context: Text whose next words are requested.

    Returns:
        `requests/s`, `median ms`, `99% ms` and `errors`.
    """
    body = json.dumps({"instances": [context]}).encode()
    request = (
        b"POST /v1/models/lm:predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    seconds: list[float] = []
    errors: list[str] = []
    await connection(port, request, time.perf_counter() + 1, [], errors)  # warms up
    start = time.perf_counter()
    await asyncio.gather(*(connection(port, request, start + duration, seconds, errors) for _ in range(connections)))
    elapsed = time.perf_counter() - start
    seconds.sort()
    return {
        "requests/s": len(seconds) / elapsed,
        "median ms": statistics.median(seconds) * 1e3,
        "99% ms": seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))] * 1e3,
        "errors": len(errors),
    }


if __name__ == "__main__":
    port, connections, duration, context = sys.argv[1:]
    print(json.dumps(asyncio.run(load(int(port), int(connections), float(duration), context))))
