"""A folder of small exported versions, and a server over it, for the tests of serving."""

import contextlib
import shutil
import socket
import threading
from pathlib import Path

import uvicorn

from pipeline.server.app import Access, Limits, ModelServer, make_app
from pipeline.server.connections import server_config
from pipeline.server.served_model import ServedModel
from tests.models.serving.exported import export_and_load, make_model


def export_models(folder: Path) -> Path:
    """Exports two models, `<folder>/first` and `<folder>/second`."""
    for name, init_scale in (("first", 0.8), ("second", 0.3)):
        export_and_load(folder / f"export-{name}", make_model(init_scale=init_scale))
        shutil.move(folder / f"export-{name}" / "saved_model", folder / name)
    return folder


def push(source: Path, versions: Path, version: int) -> None:
    """Puts a version in place by one rename, as the Pusher does."""
    shutil.copytree(source, versions / f".aside-{version}")
    (versions / f".aside-{version}").rename(versions / str(version))


def make_serving(versions: Path, number: int = 2, limits: Limits = Limits()) -> ModelServer:  # noqa: B008 (frozen)
    serving = ModelServer("lm", versions, number, limits, ServedModel)
    serving.versions.refresh()
    return serving


@contextlib.contextmanager
def serve(serving: ModelServer, access: Access = Access()):  # noqa: B008 (frozen)
    """Runs the server in a thread; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(server_config(make_app(serving, 0.05, access)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
