"""The model that is served: its versions, the limits of requests, and the clients that wait for answers."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from pipeline.server import tensors
from pipeline.server.batching import RUNNING, Batcher, LongRequests
from pipeline.server.bodies import Hold, in_thread_if
from pipeline.server.errors import RequestError
from pipeline.server.metrics import Metrics
from pipeline.server.versions import Versions

MAX_WORDS = 10_000  # longest continuation, whatever `max_words` is; the same as `models.serving.export.MAX_WORDS`
LOOK_SECONDS = 0.5  # between two checks that clients are still connected
SMALL_REQUEST = 64 * 1024  # bytes of body and answer that are taken however much the other requests hold


@dataclass(frozen=True)
class Limits:
    """Limits of a request.

    Attributes:
        body_bytes: Size of a request's body, decompressed.
        text_bytes: Size of one text.
        padded_bytes: Bytes of the longest text times the number of texts; the memory for an answer grows with it.
        rows: Number of examples.
        words: Words to write: `max_words` times the number of prompts.
        numbers: Numbers in an answer whose size does not depend on the texts, such as that of `step`.
        held_bytes: Bodies and answers of all requests, from their arrival until the clients have taken the answers.
        seconds: Time from the arrival of the request's whole body to its answer; 0 for no limit.
    """

    body_bytes: int = 8 * 2**20
    text_bytes: int = 10**6
    padded_bytes: int = 32 * 2**20
    rows: int = 10_000
    words: int = 20_000
    numbers: int = 2_000_000
    held_bytes: int = 32 * 2**20
    seconds: float = 60.0

    def check(self, inputs: Mapping[str, Any]) -> None:
        """Checks the size of a request's inputs.

        Args:
            inputs: Name -> tensor.

        Raises:
            RequestError: If they exceed a limit (400).
        """
        rows = max((len(tensor) for tensor in inputs.values() if tensor.ndim), default=0)
        self.check_rows(rows)
        for name, tensor in inputs.items():
            if tensor.dtype == object and tensor.size:
                self._check_texts(name, tensor)
        words = min(int(inputs["max_words"].max(initial=0)), MAX_WORDS) if "max_words" in inputs else 0
        if words * rows > self.words:
            raise RequestError(
                400,
                f"The request asks for {rows:,} texts of up to {words:,} words; at most {self.words:,} words in all "
                "are written for one request. Send the prompts in parts.",
            )

    def check_rows(self, rows: int, width: int = 0) -> None:
        """Checks the number of a request's examples.

        Args:
            rows: The number.
            width: Numbers in the answer to each; see `served_model.Signature`.

        Raises:
            RequestError: If there are too many, or too many numbers to answer with (400).
        """
        if rows > self.rows:
            raise RequestError(
                400, f"The request has {rows:,} examples; at most {self.rows:,} are taken. Send them in parts."
            )
        if rows * width > self.numbers:
            raise RequestError(
                400,
                f"The answer to {rows:,} examples has {rows * width:,} numbers; at most {self.numbers:,} are sent for "
                "one request. Send them in parts.",
            )

    def _check_texts(self, name: str, tensor: Any) -> None:
        longest = max(len(text) for text in tensor.flat)
        if longest > self.text_bytes:
            raise RequestError(
                400,
                f"{name} holds a text of {longest:,} bytes; at most {self.text_bytes:,} are taken "
                "(--max-text-bytes). Send it in parts.",
            )
        if longest * tensor.size > self.padded_bytes:
            raise RequestError(
                400,
                f"{name} holds {tensor.size:,} texts of up to {longest:,} bytes, which the answer is padded to: "
                f"more than {self.padded_bytes:,} bytes in all. Send long texts by themselves.",
            )


class ModelServer:
    """A model's versions, with a queue for each signature of each version.

    Args:
        name: The model's name in addresses.
        folder: Folder of its versions.
        number: How many of the newest versions to serve.
        limits: Limits of a request.
        load: Loads a model from a version's path and number.

    Attributes:
        versions: The versions, see `Versions`.
        metrics: The server's counters.
        cut_off: Number of requests that were still open when the server stopped.
        held_bytes: Size of the bodies and answers of all requests whose clients have not taken the answers yet.
    """

    def __init__(self, name: str, folder: Path, number: int, limits: Limits, load: Callable[[Path, int], Any]):
        self.name = name
        self.limits = limits
        long_requests = LongRequests()
        self.versions = Versions(
            folder,
            number,
            lambda path, version: VersionWithQueues(load(path, version), self.metrics, long_requests),
            name,
        )
        self.metrics = Metrics(self.waiting, self.versions.available)
        self.cut_off = 0
        self.held_bytes = 0
        self._open: dict[Request, tuple[float, asyncio.Task]] = {}

    def waiting(self) -> int:
        """Returns the number of requests that wait to run, over all versions and signatures."""
        waiting = 0
        for version in self.versions.available():
            with contextlib.suppress(RequestError), self.versions.use(version) as served:
                waiting += sum(batcher.waiting for batcher in served.batchers.values())
        return waiting

    async def watch(self, seconds: float) -> None:
        """Looks for new versions again and again, until it is cancelled.

        Args:
            seconds: Seconds between two looks.
        """
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.versions.refresh)
            except Exception:  # keep watching
                logging.exception("The versions could not be looked up.")

    async def watch_clients(self) -> None:
        """Cancels the work of clients that have left and of requests that take too long."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for request, (since, task) in list(self._open.items()):
                seconds = time.monotonic() - since
                if self.limits.seconds and seconds > self.limits.seconds:
                    task.cancel("late")
                elif seconds > LOOK_SECONDS and await request.is_disconnected():
                    task.cancel("left")

    @contextlib.contextmanager
    def answering(self, request: Request) -> Iterator[None]:
        """Watches a request's client and time while the model works on it.

        Args:
            request: The request.

        Raises:
            RequestError: If the client has left (499) or the request took too long (504).
        """
        self._open[request] = time.monotonic(), asyncio.current_task()
        try:
            yield
        except asyncio.CancelledError as cancelled:
            # The argument shows who cancelled it: `watch_clients`, or nothing if the server stops.
            if "left" in cancelled.args:
                raise RequestError(499, "The client has closed the connection.") from None
            if "late" in cancelled.args:
                raise RequestError(
                    504, f"No answer within {self.limits.seconds:g} seconds (--max-seconds). Ask for less at once."
                ) from None
            raise
        finally:
            del self._open[request]

    @contextlib.contextmanager
    def holding(self) -> Iterator[Hold]:
        """Counts the bytes of a request's body and answer among those of all requests while the context lasts.

        Yields:
            A function to call with the number of bytes before they are kept. A small request may always keep them; a
            larger one as long as all requests together are within the limit.
        """
        own = 0

        def hold(size: int, instead: bool = False) -> None:
            nonlocal own
            if instead:
                self.held_bytes -= own
                own = 0
            if own + size > SMALL_REQUEST and self.held_bytes > self.limits.held_bytes:
                raise RequestError(
                    503,
                    f"The requests and their answers have more than {self.limits.held_bytes:,} bytes together: the "
                    "server is overloaded. Try later.",
                    {"Retry-After": "1"},
                )
            own += size
            self.held_bytes += size

        try:
            yield hold
        finally:
            self.held_bytes -= own

    async def predict(self, document: Mapping[str, Any], version: int | None, large: bool) -> tuple[str, Mapping]:
        """Answers a request.

        Args:
            document: The request's JSON object.
            version: The version to use; None for the newest.
            large: Whether reading its values would delay other requests.

        Returns:
            The request's format (`tensors.ROW` or `tensors.COLUMNAR`) and the outputs by name.

        Raises:
            RequestError: If the request cannot be answered.
        """
        with self.versions.use(version) as served:
            name = document.get("signature_name") or "serving_default"
            signature = served.model.signature(name)
            self.limits.check_rows(tensors.rows(document), signature.width)
            layout, inputs = await in_thread_if(large, tensors.to_tensors, document, signature.inputs)
            self.limits.check(inputs)
            return layout, await served.batchers[name].submit(inputs)


class VersionWithQueues:
    """One version that answers requests: its `ServedModel`, and a queue for each of the model's signatures.

    Args:
        model: The version's `served_model.ServedModel`, or anything else with its interface.
        metrics: The server's counters.
        long_requests: Which long request may run, shared by all versions.

    Attributes:
        model: The model.
        batchers: Signature's name -> its queue.
    """

    def __init__(self, model: Any, metrics: Metrics, long_requests: LongRequests):
        self.model = model
        self._executor = ThreadPoolExecutor(RUNNING * len(model.signatures), f"version-{model.version}")
        self.batchers = {
            name: Batcher(
                lambda name=name: model.prepare(name),
                self._executor,
                lambda requests, name=name: metrics.ran(name, requests),
                long_requests,
                signature.width,
            )
            for name, signature in model.signatures.items()
        }

    def close(self) -> None:
        """Ends the threads, which have no work left."""
        self._executor.shutdown(wait=False)
