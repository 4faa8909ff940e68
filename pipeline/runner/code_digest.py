"""The digest of a component's code: editing the code makes cached results stale."""

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from models.files import digest_of


def code_digest(component: type) -> str:
    """Returns the SHA-256 of a component's folder and of every project module that it imports, directly or not.

    Imports are read from the source, without importing anything. Only modules of `models`, of `components` and of the
    component's own top-level package count; libraries and the runner do not.

    Args:
        component: The component's class.
    """
    module = component.__module__
    file = Path(sys.modules[module].__file__).resolve()
    root = file.parents[module.count(".")]
    packages = ("models", "components", module.partition(".")[0])
    # A component outside any package is one file; otherwise its whole folder counts, which has the executor.
    waiting = sorted(file.parent.rglob("*.py")) if "." in module else [file]
    sources: dict[Path, bytes] = {}
    while waiting:
        path = waiting.pop()
        if path not in sources:
            sources[path] = path.read_bytes()
            names = _imports(sources[path], path.relative_to(root).parent.parts)
            waiting += [path for name in names for path in _files(name, root, packages)]
    return digest_of(
        (path.relative_to(root).as_posix(), hashlib.sha256(source).digest()) for path, source in sorted(sources.items())
    )


@functools.cache
def _imports(source: bytes, package: tuple[str, ...]) -> tuple[str, ...]:
    """Returns dotted names that a module of `package` may import; `from a import b` gives both `a` and `a.b`."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _files(name: str, root: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    """Yields the files that importing `name` runs: the module and the `__init__.py` of its packages."""
    parts = name.split(".")
    if parts[0] not in packages:
        return
    for depth in range(1, len(parts) + 1):
        folder = root.joinpath(*parts[:depth])
        yield from (path for path in (folder.with_suffix(".py"), folder / "__init__.py") if path.is_file())
