"""Runs requests that arrive together in one call of the model, and a single one without waiting."""

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from pipeline.server.errors import RequestError

Tensors = Mapping[str, np.ndarray]

MAX_BATCH_ROWS = 64  # rows of a batch of several requests
MAX_BATCH_BYTES = 256 * 1024  # padded size of a batch: bytes of its longest text times its rows
MAX_BATCH_WORDS = 8000  # words that a batch writes: its longest continuation times its rows
MAX_BATCH_NUMBERS = 2_000_000  # numbers that a batch answers with, as of `step`: those of a row times its rows
MAX_WAITING = 1000  # requests of one signature that may wait
RUNNING = 2  # batches of one signature at a time, so that a long request does not delay the short ones
LONG_REQUEST_BYTES = 64 * 1024  # bytes, padding included, that make a request a long one
LONG_REQUEST_WORDS = 1000  # words to write that make a request a long one
LONG_REQUEST_NUMBERS = 500_000  # numbers to answer with that make a request a long one


@dataclass(eq=False)  # compared by identity, as tensors have no simple equality
class _Request:
    inputs: Tensors
    size: "_Size"
    answer: asyncio.Future = field(repr=False)


@dataclass(frozen=True)
class _Size:
    """What running a request costs, alone or with others."""

    rows: int
    longest: int  # bytes of its longest text
    words: int  # to write, in its longest continuation
    width: int  # numbers to answer with, in each row
    kind: tuple  # only requests of the same kind run together

    def with_(self, other: "_Size") -> "_Size":
        """Returns the size of both in one batch.

        Args:
            other: The size of what is added.
        """
        longest, words = max(self.longest, other.longest), max(self.words, other.words)
        return _Size(self.rows + other.rows, longest, words, self.width, self.kind)

    @property
    def is_long(self) -> bool:
        """Whether it takes so long that only one such request may run at a time."""
        return (
            self.rows * self.longest > LONG_REQUEST_BYTES
            or self.rows * self.words > LONG_REQUEST_WORDS
            or self.rows * self.width > LONG_REQUEST_NUMBERS
        )

    @property
    def fits(self) -> bool:
        """Whether a batch of this size may run."""
        return (
            self.rows <= MAX_BATCH_ROWS
            and self.rows * self.longest <= MAX_BATCH_BYTES
            and self.rows * self.words <= MAX_BATCH_WORDS
            and self.rows * self.width <= MAX_BATCH_NUMBERS
        )


class LongRequests:
    """Lets one long request run at a time, over all signatures.

    Two would keep every processor from the short requests.
    """

    def __init__(self):
        self._running = False
        self._waiting: dict[Callable[[], None], None] = {}  # a set that keeps its order

    def enter(self, start: Callable[[], None]) -> bool:
        """Returns whether a long request may run now.

        Args:
            start: Called when it may run later, if it may not run now.
        """
        if self._running:
            self._waiting[start] = None
            return False
        self._running = True
        return True

    def leave(self) -> None:
        """Call this when a long request has ended."""
        self._running = False
        waiting, self._waiting = self._waiting, {}
        for start in waiting:
            start()


class Batcher:
    """The queue of one signature of one model.

    There is no waiting for a batch to fill: requests that arrive while the model is busy run together once it is free.
    Each request gets the answer that it would get alone, even if another one of its batch is refused. A batch is
    stopped when no client waits for it any more.

    Args:
        prepare: Makes a call of the model. Returns a function of inputs to outputs, every tensor with one row for each
            example, which runs in `executor`; and a function that stops that call, from any thread.
        executor: Where the model runs.
        observe: Called with the number of requests of each batch.
        long_requests: Shared by all signatures.
        width: Numbers in the answer to each example; see `served_model.Signature`.

    Attributes:
        running: Number of batches that are running.
    """

    def __init__(
        self,
        prepare: Callable[[], tuple[Callable[[Tensors], Tensors], Callable[[], None]]],
        executor: Executor,
        observe: Callable[[int], None],
        long_requests: LongRequests,
        width: int = 0,
    ):
        self._prepare = prepare
        self._executor = executor
        self._observe = observe
        self._long_requests = long_requests
        self._width = width
        self._waiting: deque[_Request] = deque()
        self.running = 0
        self._tasks: set[asyncio.Task] = set()

    @property
    def waiting(self) -> int:
        """Number of requests that wait to run."""
        return len(self._waiting)

    async def submit(self, inputs: Tensors) -> Tensors:
        """Returns the model's answer to one request. A caller that is cancelled leaves the queue.

        Args:
            inputs: Name -> tensor.

        Raises:
            RequestError: If the model refuses the request, or too many are waiting already (503).
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError(503, f"{MAX_WAITING} requests are waiting already: the server is overloaded. Try later.")
        loop = asyncio.get_running_loop()
        request = _Request(inputs, _measure(inputs, self._width), loop.create_future())
        self._waiting.append(request)
        loop.call_soon(self._start)  # runs after the requests that have already arrived
        try:
            return await request.answer
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):  # it runs already
                self._waiting.remove(request)
            raise

    def _start(self) -> None:
        while self.running < RUNNING and (first := self._next()):
            self.running += 1
            task = asyncio.get_running_loop().create_task(self._run(self._take(first)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _next(self) -> _Request | None:
        """Returns the request that has waited longest, of those that may run now."""
        for request in self._waiting:
            if not request.size.is_long or self._long_requests.enter(self._start):
                return request
        return None

    def _take(self, first: _Request) -> list[_Request]:
        """Takes a request, and those that may run with it, from the queue."""
        self._waiting.remove(first)
        batch, size = [first], first.size
        for request in list(self._waiting):
            if request.size.kind == size.kind and (together := size.with_(request.size)).fits:
                batch.append(request)
                self._waiting.remove(request)
                size = together
        return batch

    async def _run(self, batch: list[_Request]) -> None:
        call, stop = self._prepare()

        def stop_unless_awaited(_):
            if all(request.answer.cancelled() for request in batch):
                stop()

        for request in batch:
            request.answer.add_done_callback(stop_unless_awaited)
        try:
            self._observe(len(batch))
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._executor, _answers, call, batch)
            except Exception as error:  # such as out of memory; every request of the batch gets it
                answers = [error] * len(batch)
            for request, answer in zip(batch, answers, strict=True):
                if request.answer.done():  # its client has left
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)
        finally:
            self.running -= 1
            if batch[0].size.is_long:
                self._long_requests.leave()
            self._start()


def _answers(call: Callable[[Tensors], Tensors], batch: list[_Request]) -> list[Tensors | Exception]:
    if len(batch) == 1:
        try:
            return [call(batch[0].inputs)]
        except Exception as error:  # raised where the answer is awaited
            return [error]
    joined = {name: np.concatenate([request.inputs[name] for request in batch]) for name in batch[0].inputs}
    try:
        outputs = call(joined)
    except Exception:
        # Only one of them may be wrong: run each alone, so that the others get their answers.
        return [answer for request in batch for answer in _answers(call, [request])]
    ends = np.cumsum([request.size.rows for request in batch])
    return [_rows_of(outputs, end - request.size.rows, end) for request, end in zip(batch, ends, strict=True)]


def _measure(inputs: Tensors, width: int) -> _Size:
    sizes = {tensor.shape[0] if tensor.ndim else -1 for tensor in inputs.values()}
    texts = [value for tensor in inputs.values() if tensor.dtype == np.object_ for value in tensor.flat]
    longest = max(map(len, texts), default=0)
    words = max(int(inputs["max_words"].max(initial=0)), 0) if "max_words" in inputs else 0
    rows = max(sizes, default=0)
    if len(sizes) != 1 or sizes & {-1, 0}:
        return _Size(rows, longest, words, width, (object(),))  # a unique kind: nothing runs with it
    size = _Size(rows, longest, words, width, ())
    # A batch takes as long as its longest text and continuation, so requests of similar length run together.
    bounds = ((longest // 256).bit_length(), (words // 32).bit_length(), size.is_long)
    kind = (*((name, tensor.shape[1:]) for name, tensor in sorted(inputs.items())), bounds)
    return dataclasses.replace(size, kind=kind)


def _rows_of(outputs: Tensors, start: int, end: int) -> Tensors:
    """Returns one request's rows of a batch's outputs, without the padding for longer requests."""
    own = {name: output[start:end] for name, output in outputs.items()}
    if "num_tokens" in own:
        longest = int(own["num_tokens"].max(initial=0))
        padded = outputs["num_tokens"].max(initial=0)
        own = {
            name: value[:, :longest] if value.ndim > 1 and value.shape[1] == padded else value
            for name, value in own.items()
        }
    return own
