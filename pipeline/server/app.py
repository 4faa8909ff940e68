"""The ASGI application: TensorFlow Serving's REST API, health, metrics and the page.

Addresses below `/v1` are matched by regular expressions instead of Starlette's routes. TensorFlow Serving ignores case
in them, and answers all others, and all other methods, with 400 and its own text, where a router would answer 404 or
405.
"""

import asyncio
import contextlib
import logging
import re
import time
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pipeline.server import tensors
from pipeline.server.access import Access
from pipeline.server.bodies import Hold, in_thread_if, read_document
from pipeline.server.errors import RequestError, shortened
from pipeline.server.model_server import Limits, ModelServer

__all__ = ["Access", "Limits", "ModelServer", "make_app"]

PAGE = Path(__file__).with_name("page")
PAGE_FILES = {"/": "index.html", "/page.css": "page.css", "/page.js": "page.js", "/text.js": "text.js"}
# The page may load its own files and call this server, nothing else.
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
LARGE_OUTPUT = 20_000  # numbers and words; larger answers are encoded in a thread


class _Gate:
    """Passes on the requests that `Access` allows, and refuses the others."""

    def __init__(self, app: Any, access: Access):
        self._app, self._access = app, access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            try:
                self._access.check(scope["path"], Headers(scope=scope))
            except RequestError as error:
                await _refusal(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _API:
    """Answers requests to `/v1/...`, and counts what each holds until its client has taken the answer."""

    def __init__(self, serving: ModelServer):
        self._serving = serving

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_in_parts(message: Any) -> None:
            """Waits at the end of the answer until the client has taken it, but for the last kilobytes."""
            last = message["type"] == "http.response.body"
            await send(message | {"more_body": True} if last else message)
            if last:
                await send({"type": "http.response.body"})

        with self._serving.holding() as hold:
            response = await _answer(self._serving, Request(scope, receive), hold)
            try:
                await response(scope, receive, send_in_parts)
            except asyncio.CancelledError:  # the server stops and its grace period is over
                self._serving.cut_off += 1


def make_app(serving: ModelServer, watch_seconds: float = 1.0, access: Access = Access()) -> Starlette:  # noqa: B008 (frozen)
    """Creates the application. While it runs, it looks for new versions and for clients that have left.

    Args:
        serving: The model to serve.
        watch_seconds: Seconds between two looks for new versions.
        access: Who may send requests; by default everybody.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app):
        del app
        watches = [asyncio.create_task(watch) for watch in (serving.watch(watch_seconds), serving.watch_clients())]
        yield
        for watch in watches:
            watch.cancel()

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
        Route("/v1/{path:path}", _API(serving), methods=methods),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/monitoring/prometheus/metrics", metrics),  # TensorFlow Serving's address for them
        Route("/about.json", about),
        *(Route(path, page) for path in PAGE_FILES),
    ]
    return Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(_Gate, access=access)])


async def _answer(serving: ModelServer, request: Request, hold: Hold) -> Response:
    """Answers a request to `/v1/...` as TensorFlow Serving does, errors included.

    Args:
        serving: The model.
        request: The request.
        hold: Called with the number of bytes before some are kept.
    """
    start, path, signature = time.perf_counter(), request.url.path, ""
    predicting = request.method == "POST" and (match := PREDICT.fullmatch(path))
    try:
        if predicting:
            _check_model(serving, match, "Servable not found for request: Latest({})")
            document, large = await read_document(request, serving.limits.body_bytes, hold)
            asked = document.get("signature_name") or "serving_default"
            signature = asked if _knows(serving, asked) else ""
            if match["method"].lower() != "predict":
                raise RequestError(400, f"The model has no signature for {match['method']}: ask with :predict.")
            with serving.answering(request):
                layout, outputs = await serving.predict(document, _version(match), large)
                large = sum(output.size for output in outputs.values()) > LARGE_OUTPUT
                body = await in_thread_if(large, tensors.from_tensors, outputs, layout)
            hold(len(body), instead=True)
            response = Response(body, media_type="application/json")
        elif request.method == "GET" and (match := STATUS.fullmatch(path)):
            response = _json(_describe(serving, match), indent=True)
        else:
            raise RequestError(400, f"Malformed request: {request.method} {shortened(path)}")
    except RequestError as error:
        response = _refusal(error)
    except ClientDisconnect:
        response = _refusal(RequestError(499, "The client has closed the connection."))
    except asyncio.CancelledError:  # the server stops and its grace period is over
        serving.cut_off += 1
        response = _refusal(RequestError(503, "The server was stopped before it had the answer."))
    except Exception:
        logging.exception("%s %s failed.", request.method, shortened(path))
        response = _refusal(RequestError(500, "The server failed to answer; its log says why."))
    if predicting:
        serving.metrics.answered(signature, response.status_code, time.perf_counter() - start)
    return response


def _describe(serving: ModelServer, match: re.Match) -> dict[str, Any]:
    """Returns the state of the versions, or a version's metadata."""
    if match["model"] is None:
        raise RequestError(400, "Missing model name in request.")
    _check_model(serving, match, "Could not find any versions of model {}")
    version = _version(match)
    if not match["metadata"]:
        return {"model_version_status": serving.versions.statuses(version)}
    with serving.versions.use(version) as served:
        return {
            "model_spec": {"name": serving.name, "signature_name": "", "version": str(served.model.version)},
            "metadata": {"signature_def": {"signature_def": served.model.signature_definitions}},
        }


def _knows(serving: ModelServer, signature: str) -> bool:
    """Returns whether a signature has that name; other names must not become labels of a metric."""
    with contextlib.suppress(RequestError), serving.versions.use() as served:
        return signature in served.batchers
    return False


def _check_model(serving: ModelServer, match: re.Match, message: str) -> None:
    if match["model"] != serving.name:
        raise RequestError(404, message.format(shortened(match["model"])))
    if match["label"] is not None:
        raise RequestError(400, f"Unrecognized servable version label: {shortened(match['label'])}")


def _version(match: re.Match) -> int | None:
    if match["version"] is None:
        return None
    digits = match["version"].lstrip("0") or "0"  # Python refuses to convert thousands of digits
    if len(digits) > 19 or int(digits) >= 2**63:
        raise RequestError(400, f"Failed to convert version: {shortened(match['version'])} to numeric.")
    return int(digits)


def _refusal(error: RequestError) -> Response:
    response = _json({"error": str(error)}, error.status)
    response.headers.update(error.headers or {})
    return response


def _json(content: Any, status: int = 200, indent: bool = False) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_INDENT_2 if indent else 0)
    return Response(body, status, media_type="application/json")
