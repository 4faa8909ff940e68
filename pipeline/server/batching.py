"""Runs requests that arrive together in one call of the model, and a lone one at once."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from pipeline.server.errors import RequestError

Tensors = Mapping[str, np.ndarray]

MAX_ROWS = 64  # of a batch of several requests
MAX_BATCH_BYTES = 256 * 1024  # of the longest text of a batch times its rows, which is what it is padded to
MAX_WAITING = 1000  # requests of one signature that may wait for their turn
RUNNING = 2  # batches of one signature at a time, so that a long request does not hold up the short ones


@dataclass(eq=False)  # each is itself: tensors do not compare
class _Request:
    inputs: Tensors
    rows: int
    longest: int  # bytes of its longest text
    kind: tuple  # only requests of the same kind run together
    answer: asyncio.Future = field(repr=False)


class Batcher:
    """The queue of one signature of one model.

    There is no waiting for a batch to fill: requests that arrive while the model is busy run together once it is
    free. Each request gets what it would get alone, also where another one of its batch is refused.

    Args:
        call: The model: inputs to outputs, every tensor with one row an example. Runs in `executor`.
        executor: Where the model runs.
        observe: Called with the number of requests of each batch.
    """

    def __init__(self, call: Callable[[Tensors], Tensors], executor: Executor, observe: Callable[[int], None]):
        self._call = call
        self._executor = executor
        self._observe = observe
        self._waiting: deque[_Request] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task] = set()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._waiting)

    async def submit(self, inputs: Tensors) -> Tensors:
        """The model's answer to one request.

        Raises:
            RequestError: If the model refuses it, or too many wait already (503).
        """
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError(503, f"{MAX_WAITING} requests are waiting already: the server is overloaded. Try later.")
        loop = asyncio.get_running_loop()
        request = _Request(inputs, *_measure(inputs), loop.create_future())
        self._waiting.append(request)
        loop.call_soon(self._start)  # after the other requests that have arrived by now
        return await request.answer

    def _start(self) -> None:
        while self._waiting and self._running < RUNNING:
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._run(self._take()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Request]:
        """The request that waits longest, and those that may run with it."""
        first = self._waiting.popleft()
        batch, rows, longest = [first], first.rows, first.longest
        for request in list(self._waiting):
            together = rows + request.rows, max(longest, request.longest)
            if request.kind != first.kind or together[0] > MAX_ROWS or together[0] * together[1] > MAX_BATCH_BYTES:
                continue
            batch.append(request)
            self._waiting.remove(request)
            rows, longest = together
        return batch

    async def _run(self, batch: list[_Request]) -> None:
        try:
            self._observe(len(batch))
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._executor, self._answers, batch)
            except Exception as error:  # out of memory, say: told to each
                answers = [error] * len(batch)
            for request, answer in zip(batch, answers, strict=True):
                if request.answer.done():  # its client has gone
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)
        finally:
            self._running -= 1
            self._start()

    def _answers(self, batch: list[_Request]) -> list[Tensors | Exception]:
        if len(batch) == 1:
            try:
                return [self._call(batch[0].inputs)]
            except Exception as error:  # handed to whoever waits for it
                return [error]
        joined = {name: np.concatenate([request.inputs[name] for request in batch]) for name in batch[0].inputs}
        try:
            outputs = self._call(joined)
        except Exception:
            # One of them is to blame, and the others must not suffer for it.
            return [answer for request in batch for answer in self._answers([request])]
        ends = np.cumsum([request.rows for request in batch])
        return [_rows_of(outputs, end - request.rows, end) for request, end in zip(batch, ends, strict=True)]


def _measure(inputs: Tensors) -> tuple[int, int, tuple]:
    """Rows, bytes of the longest text, and the kind of a request."""
    sizes = {tensor.shape[0] if tensor.ndim else -1 for tensor in inputs.values()}
    texts = [value for tensor in inputs.values() if tensor.dtype == np.object_ for value in tensor.flat]
    longest = max(map(len, texts), default=0)
    if len(sizes) != 1 or sizes & {-1, 0}:
        return 0, longest, (object(),)  # nothing runs with it
    # Long ones run with long ones: a batch takes as long as its longest text and its longest continuation.
    words = int(inputs["max_words"].max()) if "max_words" in inputs else 0
    size = ((longest // 256).bit_length(), (max(words, 0) // 32).bit_length())
    return sizes.pop(), longest, (*((name, tensor.shape[1:]) for name, tensor in sorted(inputs.items())), size)


def _rows_of(outputs: Tensors, start: int, end: int) -> Tensors:
    """One request's rows of a batch's outputs, without the padding that the other requests' rows brought."""
    own = {name: output[start:end] for name, output in outputs.items()}
    if "num_tokens" in own:
        longest = int(own["num_tokens"].max(initial=0))
        padded = outputs["num_tokens"].max(initial=0)
        own = {
            name: value[:, :longest] if value.ndim > 1 and value.shape[1] == padded else value
            for name, value in own.items()
        }
    return own
