"""Stands for `pipeline.serve`: says where its page is, and answers every request with no next words.

python tests/benchmarks/answering_server.py --model DIR --port 0 --versions 1
"""

import asyncio
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


async def answer(reader, writer):
    """Answers the requests of one connection."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(ANSWER)


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(
        f"The page is at {address}/, the API at {address}/v1/models/lm. Stop with Ctrl-C.", file=sys.stderr, flush=True
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
