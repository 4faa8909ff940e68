"""The ASGI application: TensorFlow Serving's REST API, health, metrics and the page."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pipeline.server import tensors
from pipeline.server.batching import RUNNING, Batcher
from pipeline.server.errors import RequestError
from pipeline.server.metrics import Metrics
from pipeline.server.versions import Versions

PAGE = Path(__file__).with_name("page")
PAGE_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/text.js": "text.js"}
# The page is its own files and this server, nothing else.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
VERSION = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
PREDICT = re.compile(rf"/v1/models/(?P<model>[^/:]+){VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE)
STATUS = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{VERSION}(?P<metadata>/metadata)?", re.IGNORECASE)
SMALL_BODY = 64 * 1024  # bytes that are parsed without leaving the event loop
LARGE_OUTPUT = 20_000  # numbers and words in an answer that are worth a thread


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        body_bytes: Size of a request's body.
        text_bytes: Size of one text.
        padded_bytes: Bytes of the longest text times the number of texts: what the answer's memory follows.
    """

    body_bytes: int = 8 * 2**20
    text_bytes: int = 10**6
    padded_bytes: int = 32 * 2**20


class Serving:
    """A model's versions, and a queue for each signature of each of them.

    Args:
        name: The model's name in addresses.
        folder: Folder of its versions.
        number: How many of the newest to serve.
        limits: What a request may ask for.
        load: Makes a model of a version's path and number.
    """

    def __init__(self, name: str, folder: Path, number: int, limits: Limits, load: Callable[[Path, int], Any]):
        self.name = name
        self.limits = limits
        self.versions = Versions(folder, number, lambda path, version: Served(load(path, version), self.metrics), name)
        self.metrics = Metrics(self._waiting, self.versions.available)

    def _waiting(self) -> int:
        waiting = 0
        for version in self.versions.available():
            with contextlib.suppress(RequestError), self.versions.use(version) as served:
                waiting += sum(batcher.waiting for batcher in served.batchers.values())
        return waiting

    async def watch(self, seconds: float) -> None:
        """Looks for new versions again and again."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.versions.refresh)
            except Exception:  # the watch must go on
                logging.exception("The versions could not be looked up.")

    async def predict(self, document: Mapping[str, Any], version: int | None) -> tuple[str, Mapping]:
        """The format of a request, and the model's answer."""
        with self.versions.use(version) as served:
            name = document.get("signature_name") or "serving_default"
            signature = served.model.signature(name)
            layout, inputs = tensors.to_tensors(document, signature.inputs)
            self._check_texts(inputs)
            return layout, await served.batchers[name].submit(inputs)

    def _check_texts(self, inputs: Mapping[str, Any]) -> None:
        for name, tensor in inputs.items():
            if tensor.dtype != object or not tensor.size:
                continue
            longest = max(len(text) for text in tensor.flat)
            if longest > self.limits.text_bytes:
                raise RequestError(
                    400,
                    f"{name} holds a text of {longest:,} bytes; at most {self.limits.text_bytes:,} are taken "
                    "(--max-text-bytes). Send it in parts.",
                )
            if longest * tensor.size > self.limits.padded_bytes:
                raise RequestError(
                    400,
                    f"{name} holds {tensor.size:,} texts of up to {longest:,} bytes, which the answer is padded to: "
                    f"more than {self.limits.padded_bytes:,} bytes in all. Send long texts by themselves.",
                )


class Served:
    """A loaded model and its queues."""

    def __init__(self, model: Any, metrics: Metrics):
        self.model = model
        self._executor = ThreadPoolExecutor(RUNNING * len(model.signatures), f"version-{model.version}")
        self.batchers = {
            name: Batcher(
                lambda inputs, name=name: model.call(name, inputs),
                self._executor,
                lambda requests, name=name: metrics.ran(name, requests),
            )
            for name in model.signatures
        }

    def close(self) -> None:
        """Ends the threads, which have nothing left to do."""
        self._executor.shutdown(wait=False)


def make_app(serving: Serving, watch_seconds: float = 1.0) -> Starlette:
    """The application; it looks for new versions while it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app):
        del app
        watch = asyncio.create_task(serving.watch(watch_seconds))
        yield
        watch.cancel()

    async def api(request: Request) -> Response:
        return await _answer(serving, request)

    async def health(request: Request) -> Response:
        del request
        available = serving.versions.available()
        return _json({"status": "ok" if available else "no version is loaded", "versions": available},
                     200 if available else 503)  # fmt: skip

    async def metrics(request: Request) -> Response:
        del request
        return Response(serving.metrics.exposition(), media_type=serving.metrics.content_type)

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / PAGE_FILES[request.url.path], headers=PAGE_HEADERS)

    async def about(request: Request) -> Response:
        del request
        return _json({"name": serving.name, "versions": serving.versions.available(), "limits": vars(serving.limits)})

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    routes = [
        Route("/v1/{path:path}", api, methods=methods),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/monitoring/prometheus/metrics", metrics),  # TensorFlow Serving's place for them
        Route("/about.json", about),
        *(Route(path, page) for path in PAGE_FILES),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _answer(serving: Serving, request: Request) -> Response:
    """Answers a request to `/v1/...` as TensorFlow Serving does, errors included."""
    start, path, signature = time.perf_counter(), request.url.path, ""
    predicting = request.method == "POST" and (match := PREDICT.fullmatch(path))
    try:
        if predicting:
            _check_model(serving, match, f"Servable not found for request: Latest({match['model']})")
            document = await _document(request, serving.limits.body_bytes)
            asked = document.get("signature_name") or "serving_default"
            signature = asked if _knows(serving, asked) else ""
            if match["method"].lower() != "predict":
                raise RequestError(400, f"The model has no signature for {match['method']}: ask with :predict.")
            layout, outputs = await serving.predict(document, _version(match))
            body = await _in_thread_if(
                sum(output.size for output in outputs.values()) > LARGE_OUTPUT, tensors.from_tensors, outputs, layout
            )
            response = Response(body, media_type="application/json")
        elif request.method == "GET" and (match := STATUS.fullmatch(path)):
            response = _json(_describe(serving, match), indent=True)
        else:
            raise RequestError(400, f"Malformed request: {request.method} {path}")
    except RequestError as error:
        response = _json({"error": str(error)}, error.status)
    except Exception:
        logging.exception("%s %s failed.", request.method, path)
        response = _json({"error": "The server failed to answer; its log says why."}, 500)
    if predicting:
        serving.metrics.answered(signature, response.status_code, time.perf_counter() - start)
    return response


def _describe(serving: Serving, match: re.Match) -> dict[str, Any]:
    """The state of the versions, or a version's metadata."""
    if match["model"] is None:
        raise RequestError(400, "Missing model name in request.")
    _check_model(serving, match, f"Could not find any versions of model {match['model']}")
    version = _version(match)
    if not match["metadata"]:
        return {"model_version_status": serving.versions.statuses(version)}
    with serving.versions.use(version) as served:
        return {
            "model_spec": {"name": serving.name, "signature_name": "", "version": str(served.model.version)},
            "metadata": {"signature_def": {"signature_def": served.model.signature_definitions}},
        }


def _knows(serving: Serving, signature: str) -> bool:
    """Whether it is a signature's name; anything else must not become a metric's label."""
    with contextlib.suppress(RequestError), serving.versions.use() as served:
        return signature in served.batchers
    return False


def _check_model(serving: Serving, match: re.Match, message: str) -> None:
    if match["model"] != serving.name:
        raise RequestError(404, message)
    if match["label"] is not None:
        raise RequestError(400, f"Unrecognized servable version label: {match['label']}")


def _version(match: re.Match) -> int | None:
    if match["version"] is None:
        return None
    if int(match["version"]) >= 2**63:
        raise RequestError(400, f"Failed to convert version: {match['version']} to numeric.")
    return int(match["version"])


async def _document(request: Request, limit: int) -> dict[str, Any]:
    """The body's JSON object, read no further than the limit."""
    too_large = RequestError(
        413,
        f"The request's body is larger than the {limit:,} bytes that are taken (--max-body-bytes). Send less at once.",
    )
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return await _in_thread_if(len(body) > SMALL_BODY, tensors.parse, bytes(body))


async def _in_thread_if(large: bool, function: Callable, *args: Any) -> Any:
    """Calls it here, or in a thread where it would hold up other requests."""
    return await asyncio.to_thread(function, *args) if large else function(*args)


def _json(content: Any, status: int = 200, indent: bool = False) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 if indent else 0)
    return Response(body, status, media_type="application/json")
