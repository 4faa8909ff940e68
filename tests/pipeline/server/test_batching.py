"""The queue of a signature: what runs together, and what each request gets."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.server import batching
from pipeline.server.batching import Batcher, LongRequests
from pipeline.server.errors import RequestError


class Model:
    """Doubles numbers; refuses negative ones; waits until it may continue."""

    def __init__(self):
        self.batches = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, inputs):
        self.may_go_on.wait(10)
        self.batches.append(inputs["x"].tolist())
        if (inputs["x"] < 0).any():
            raise RequestError(400, "negative")
        return {"y": 2 * inputs["x"]}


def make_batcher(model, pool, observe=lambda size: None, long_requests=None, stop=lambda: None, width=0):
    return Batcher(lambda: (model, stop), pool, observe, long_requests or LongRequests(), width)


def run(requests, model, hold=True):
    """Submits all requests at once; answers or errors, in order."""

    async def main():
        with ThreadPoolExecutor(4) as pool:
            batcher = make_batcher(model, pool)
            if hold:
                model.may_go_on.clear()
            tasks = [asyncio.create_task(batcher.submit(request)) for request in requests]
            await asyncio.sleep(0.05)
            model.may_go_on.set()
            return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(main())


def numbers(*values):
    return {"x": np.array(values)}


def texts(*values):
    tensor = np.empty(len(values), object)
    tensor[:] = values
    return {"text": tensor}


def test_requests_that_wait_run_together_and_get_their_own_rows():
    model = Model()
    answers = run([numbers(1), numbers(2, 3), numbers(4)], model)
    assert [answer["y"].tolist() for answer in answers] == [[2], [4, 6], [8]]
    assert model.batches == [[1, 2, 3, 4]]


def test_a_refused_request_does_not_affect_others_of_its_batch():
    answers = run([numbers(1), numbers(-1), numbers(3)], Model())
    assert [isinstance(answer, RequestError) for answer in answers] == [False, True, False]
    assert answers[2]["y"].tolist() == [6]


def test_only_requests_of_the_same_shape_and_size_run_together():
    model = Model()
    run([{"x": np.ones([1, 2])}, {"x": np.ones([1, 3])}, {"x": np.ones([1, 2])}], model)
    assert sorted(map(len, model.batches)) == [1, 2]
    echo = ThreadPoolExecutor(1)
    sizes = []

    async def main():
        batcher = make_batcher(lambda inputs: inputs, echo, sizes.append)
        await asyncio.gather(*(batcher.submit(texts(b"w" * size)) for size in (1, 100_000, 2)))

    asyncio.run(main())
    assert sorted(sizes) == [1, 2]  # the long one by itself


def test_padding_that_others_brought_is_cut_off():
    def score(inputs):
        lengths = np.array([len(text) for text in inputs["text"]], np.int32)
        return {"num_tokens": lengths, "tokens": np.zeros([len(lengths), lengths.max()])}

    async def main():
        with ThreadPoolExecutor(1) as pool:
            batcher = make_batcher(score, pool)
            return await asyncio.gather(batcher.submit(texts(b"ab")), batcher.submit(texts(b"abcde", b"a")))

    assert [answer["tokens"].shape for answer in asyncio.run(main())] == [(1, 2), (2, 5)]


def test_too_many_waiting_requests_are_refused(monkeypatch):
    monkeypatch.setattr(batching, "MAX_WAITING", 2)
    answers = run([numbers(1)] * 3, Model())
    assert [getattr(answer, "status", 200) for answer in answers] == [200, 200, 503]


@pytest.mark.parametrize("inputs", [{"x": np.zeros([0])}, {"x": np.float32(3)}])
def test_what_has_no_rows_runs_alone(inputs):
    model = Model()
    run([inputs, numbers(1)], model)
    assert len(model.batches) == 2


def test_one_long_request_runs_at_a_time_of_all_signatures_and_short_ones_run_beside_it():
    order, may_go_on = [], threading.Event()

    def model(inputs):
        longest = max(map(len, inputs["text"]))
        order.append(longest)
        if longest > 100_000:
            may_go_on.wait(10)
        return inputs

    async def main():
        long_requests = LongRequests()
        with ThreadPoolExecutor(8) as pool:
            one, two = (make_batcher(model, pool, long_requests=long_requests) for _ in range(2))
            long = [asyncio.create_task(batcher.submit(texts(b"w" * 200_000))) for batcher in (one, two, one)]
            await asyncio.sleep(0.05)
            for batcher in (one, two):
                await asyncio.wait_for(batcher.submit(texts(b"w")), 5)
            assert order == [200_000, 1, 1]
            may_go_on.set()
            await asyncio.gather(*long)
            assert order == [200_000, 1, 1, 200_000, 200_000]

    asyncio.run(main())


def test_requests_with_long_answers_run_one_at_a_time():
    model = Model()
    model.may_go_on.clear()

    async def main():
        with ThreadPoolExecutor(4) as pool:
            batcher = make_batcher(model, pool, width=batching.LONG_REQUEST_NUMBERS // 2)
            tasks = [asyncio.create_task(batcher.submit(numbers(*range(rows)))) for rows in (5, 5, 2)]
            await asyncio.sleep(0.05)
            assert (batcher.running, batcher.waiting) == (2, 1)  # a long one and the short one
            model.may_go_on.set()
            await asyncio.gather(*tasks)

    asyncio.run(main())
    assert sorted(map(len, model.batches)) == [2, 5, 5]


def test_a_batch_is_stopped_once_nobody_waits_for_it():
    model, stopped = Model(), []
    model.may_go_on.clear()

    async def main():
        with ThreadPoolExecutor(4) as pool:
            batcher = make_batcher(model, pool, stop=lambda: stopped.append(True))
            one, two = (asyncio.create_task(batcher.submit(numbers(x))) for x in (1, 2))
            await asyncio.sleep(0.05)
            one.cancel()
            await asyncio.sleep(0.05)
            assert not stopped  # the other one of its batch waits
            two.cancel()
            await asyncio.sleep(0.05)
            assert stopped
            model.may_go_on.set()

    asyncio.run(main())


def test_a_request_that_gives_up_leaves_the_queue():
    model = Model()
    model.may_go_on.clear()

    async def main():
        with ThreadPoolExecutor(4) as pool:
            batcher = make_batcher(model, pool)
            kinds = [{"x": np.ones([1, size])} for size in (1, 2, 3)]  # that do not run together: two run, one waits
            tasks = [asyncio.create_task(batcher.submit(kind)) for kind in kinds]
            await asyncio.sleep(0.05)
            assert batcher.waiting == 1
            tasks[2].cancel()
            await asyncio.sleep(0.05)
            assert batcher.waiting == 0
            model.may_go_on.set()
            await asyncio.gather(*tasks[:2])

    asyncio.run(main())
    assert len(model.batches) == 2
