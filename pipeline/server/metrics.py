"""Prometheus metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, process_collector
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The server's counters, and those of its process (memory, CPU, open files).

    Args:
        waiting: Returns the number of requests that wait to run.
        versions: Returns the versions that are served, newest first.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, waiting: Callable[[], int], versions: Callable[[], list[int]]):
        self._registry = CollectorRegistry()
        process_collector.ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "lm_requests",
            "Predict requests by signature and HTTP status.",
            ("signature", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "lm_request_seconds",
            "Time from a request's arrival to its answer.",
            ("signature",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "lm_batch_requests",
            "Requests that ran in one call of the model.",
            ("signature",),
            buckets=SIZES,
            registry=self._registry,
        )
        Gauge("lm_waiting_requests", "Requests that wait for their turn.", registry=self._registry).set_function(
            waiting
        )
        Gauge("lm_newest_version", "Newest version that is served, 0 if none.", registry=self._registry).set_function(
            lambda: max(versions(), default=0)
        )
        Gauge("lm_versions", "Number of versions that are served.", registry=self._registry).set_function(
            lambda: len(versions())
        )

    def answered(self, signature: str, status: int, seconds: float) -> None:
        """Counts an answer.

        Args:
            signature: One of the model's signatures, or "" if the request named none of them.
            status: HTTP status code.
            seconds: Time from the request's arrival to its answer.
        """
        self._requests.labels(signature, str(status)).inc()
        self._seconds.labels(signature).observe(seconds)

    def ran(self, signature: str, requests: int) -> None:
        """Counts a batch.

        Args:
            signature: The signature that ran.
            requests: Number of requests in the batch.
        """
        self._batches.labels(signature).observe(requests)

    def exposition(self) -> bytes:
        """Returns all metrics in Prometheus's text format."""
        return generate_latest(self._registry)
