"""Serves the exported model to `probe.py` in a fresh process and decides whether it is blessed."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import blessing
from components.artifacts.examples import list_shards, read_batches
from components.artifacts.splits import split_dir
from components.base import ComponentError, Context
from components.infra_validator.component import InfraValidator
from models import files
from models.serving import saved_model
from models.text.token_stream import TokenStream

PROBE = Path(__file__).with_name("probe.py")
SAMPLE_BYTES = 20_000  # size of the sample of the eval split's text
TIMEOUT_SECONDS = 1800  # longest time of all requests together


def execute(
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    parameters: InfraValidator.Parameters,
    context: Context,
) -> dict[str, Any]:
    """Sends requests to the exported model in a fresh process and decides whether it can be served.

    Args:
        inputs: `model` (the SavedModel), `examples` (text of the eval split) and `transformed_examples` (its token
            ids).
        outputs: `blessing` receives `INFRA_BLESSED` or `INFRA_NOT_BLESSED`, with the reasons, and `requests.json`.
        parameters: The longest latency.
        context: Not used.

    Returns:
        `blessed`, `latency_ms`, `load_seconds`, `requests` (their number) and `failed_request` (the first failure, or
        None).

    Raises:
        ComponentError: If the eval split has no text, or its shards are damaged.
    """
    del context
    with tempfile.TemporaryDirectory() as folder:
        served = Path(folder) / "1"
        # A server has a copy in another folder. So a model that needs a file outside its folder fails here.
        shutil.copytree(inputs["model"] / saved_model.EXPORT, served)
        write_sample(Path(folder), inputs["examples"], inputs["transformed_examples"], "eval")
        probed = probe(served, Path(folder))
    failures = [f"{request}: {reason}" for request, reason in probed.failures]
    limit = parameters.max_latency_ms
    if limit and probed.latency_ms is not None and probed.latency_ms > limit:
        failures.append(
            f"next words for 20 words: answered in {probed.latency_ms:.1f} ms (median), more than "
            f"infra_validator.max_latency_ms = {limit:g}. Raise it, or train a smaller model."
        )
    reasons = failures or [
        f"{len(probed.requests)} requests answered; next words for 20 words in {probed.latency_ms:.1f} ms (median)."
    ]
    blessing.write(outputs["blessing"], not failures, reasons, infra=True)
    requests = json.dumps(probed.requests, indent=1, ensure_ascii=False)
    files.write_text(outputs["blessing"] / "requests.json", requests + "\n")
    return {
        "blessed": not failures,
        "latency_ms": probed.latency_ms,
        "load_seconds": probed.load_seconds,
        "requests": len(probed.requests),
        "failed_request": failures[0] if failures else None,
    }


@dataclass
class Probed:
    """The results of the probe.

    Attributes:
        requests: In order, each `{"request": name, "seconds": s, "failure": reason or None}`.
        latency_ms: Median time of one request for next words in milliseconds; None if the probe did not get that far.
        load_seconds: Time to load the model, in seconds; None if it was not loaded.
    """

    requests: list[dict] = field(default_factory=list)
    latency_ms: float | None = None
    load_seconds: float | None = None

    @property
    def failures(self) -> list[tuple[str, str]]:
        """The failed requests as (request, reason)."""
        return [(r["request"], r["failure"]) for r in self.requests if r["failure"]]


def write_sample(folder: Path, examples: Path, transformed: Path, split: str) -> None:
    """Writes the first lines of a split, `sample.txt`, and the split's token ids, `sample_ids.npy`.

    There are more ids than the lines have; the probe uses as many as the lines' tokens.

    Args:
        folder: Folder for the two files.
        examples: The Examples artifact.
        transformed: The transformed examples.
        split: The split.

    Raises:
        ComponentError: If the split has no text.
    """
    text = b""
    batches = itertools.chain.from_iterable(map(read_batches, list_shards(examples, [split])))
    for line in (line for example in itertools.chain.from_iterable(batches) for line in example.text.splitlines()):
        text += line + b"\n"
        if len(text) >= SAMPLE_BYTES:
            break
    if not text.strip():
        raise ComponentError(
            f"{split_dir(examples, split)} has no text to send to the model. Run ExampleGen again (--no-cache)."
        )
    (folder / "sample.txt").write_bytes(text)
    stream = TokenStream(split_dir(transformed, split))
    np.save(folder / "sample_ids.npy", stream[0 : min(len(stream), len(text))])


def probe(model: Path, sample_dir: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> Probed:
    """Runs the probe in a process that cannot import this project, and reads what it reports.

    Args:
        model: Folder of the SavedModel.
        sample_dir: Folder with the sample.
        timeout_seconds: Longest time of all requests. After it, the request that is not answered yet has failed.
    """
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    # This setting rounds products more coarsely, for training. A server does not have it.
    environment.pop("TF_SET_ONEDNN_FPMATH_MODE", None)
    # Without the environment's and this folder's modules. -I would also hide packages that are installed for one user.
    no_user_site = ["-s"] if sys.flags.no_user_site else []  # PYTHONNOUSERSITE, which -E ignores
    command = [sys.executable, "-E", "-P", *no_user_site, str(PROBE), str(model), str(sample_dir)]
    alive, never_closed = os.pipe()  # the probe ends when this closes, which it does if this process is killed
    try:
        done = subprocess.run(
            command, stdin=alive, capture_output=True, timeout=timeout_seconds, env=environment, check=False
        )
        output, reason = done.stdout, _exit_reason(done)
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").rpartition(b"\n")[0]  # the last line may be incomplete
        reason = f"no answer after {timeout_seconds:g} seconds of requests in all"
    finally:
        os.close(alive)
        os.close(never_closed)
    return _read_events(output, reason)


def _exit_reason(done: subprocess.CompletedProcess) -> str | None:
    if done.returncode == 0:
        return None
    tail = " ".join(done.stderr.decode("utf-8", "replace").split("\n")[-6:]).strip()
    return f"the serving process ended with exit code {done.returncode}. The end of its output: {tail}"


def _read_events(output: bytes, reason: str | None) -> Probed:
    """Collects the probe's lines of JSON. Requests that were not answered failed for `reason`."""
    probed, open_requests = Probed(), {}
    for line in output.decode("utf-8", "replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):  # a library's own words
            continue
        if "begin" in event:
            open_requests[event["begin"]] = None
        elif "request" in event:
            open_requests.pop(event["request"])
            probed.requests.append(event)
        else:
            probed.latency_ms = event.get("latency_ms", probed.latency_ms)
            probed.load_seconds = event.get("load_seconds", probed.load_seconds)
    if reason is not None:
        for request in open_requests or ["starting the process"]:
            probed.requests.append({"request": request, "seconds": None, "failure": reason})
    return probed
