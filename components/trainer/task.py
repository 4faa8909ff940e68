"""Reads from `TF_CONFIG`, in TensorFlow's own format, which of several workers this process is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Task:
    """One of several workers.

    Attributes:
        addresses: (host, port) of each worker; the chief is the first.
        index: Index of this worker in `addresses`.
    """

    addresses: tuple[tuple[str, int], ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the chief."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Returns the name of the worker `index` for messages, such as `worker 1 (10.0.0.2:2222)`.

        Args:
            index: The worker's index.
        """
        host, port = self.addresses[index]
        return f"worker {index}{'' if index else ', the chief'} ({host}:{port})"


def from_environment(environment: Mapping[str, str]) -> Task:
    """Reads the task that `TF_CONFIG` describes.

    Args:
        environment: Environment variables by name.

    Raises:
        ValueError: If the variable is missing, is not JSON, or does not describe at least two workers, one of which is
            this process.
    """
    text = environment.get(VARIABLE, "")
    if not text:
        raise ValueError(
            f"{VARIABLE} is not set: trainer.strategy multi_worker_mirrored needs it in each worker's environment, "
            f"such as {EXAMPLE}."
        )
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: found {text[:200]!r}, no JSON ({error}); expected {EXAMPLE}.") from None
    try:
        cluster, task = config["cluster"], config["task"]
        if unknown := sorted(cluster.keys() - {"chief", "worker"}):
            raise ValueError(f"cluster has {', '.join(unknown)}, and there are only a chief and workers here")
        addresses = tuple(_address(text) for kind in ("chief", "worker") for text in cluster.get(kind, []))
        kind, index = task["type"], _index(task["index"], len(cluster.get(task["type"], [])))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{VARIABLE}: {error!r} in {text[:200]!r}; expected {EXAMPLE}.") from None
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error} in {text[:200]!r}; expected {EXAMPLE}.") from None
    if len(addresses) < 2 or len(set(addresses)) < len(addresses) or len(cluster.get("chief", [])) > 1:
        raise ValueError(
            f"{VARIABLE}: found {text[:200]!r}, expected at least two workers with different addresses and at most one "
            f"chief, such as {EXAMPLE}. With one process, use trainer.strategy mirrored."
        )
    return Task(addresses, index + (len(cluster.get("chief", [])) if kind == "worker" else 0))


def _address(text: Any) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(f"found the address {text!r}, not HOST:PORT,")
    return host.strip("[]"), int(port)


def _index(index: Any, count: int) -> int:
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count:
        raise ValueError(f"task index {index!r} is not one of the {count} in cluster")
    return index
