"""Reads the text that comes with every Python: the language reference's topics and the library's docstrings.

The text is read from the sources with `ast`; no module of the library is imported.
"""

import ast
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from models import files

TOPICS = "pydoc_data/topics.py"
# Tests, installed packages, and modules that some distributions leave out, so that the corpus is the same everywhere.
_LEFT_OUT = frozenset(
    "__pycache__ distutils dist-packages ensurepip idlelib lib2to3 pydoc_data site-packages test tests tkinter "
    "turtledemo turtle.py".split()
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def library_folder() -> Path:
    """Returns the folder of this Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def source_files(library: Path) -> list[Path]:
    """Returns the topics' file and every module that is read, in the corpus's order: sorted by name.

    Args:
        library: Folder of the standard library.
    """
    modules = [path for path in library.rglob("*.py") if not _left_out(path.relative_to(library))]
    topics = [library / TOPICS] if (library / TOPICS).exists() else []
    return topics + sorted(modules, key=lambda path: path.relative_to(library).as_posix())


def _left_out(name: Path) -> bool:
    return any(part in _LEFT_OUT or part.startswith((".", "_sysconfigdata", "config-")) for part in name.parts)


def fingerprint(library: Path) -> str:
    """Computes the SHA-256 of the names and contents of the files that are read.

    Args:
        library: Folder of the standard library.
    """
    return files.digest_of(
        (path.relative_to(library).as_posix(), bytes.fromhex(files.file_digest(path))) for path in source_files(library)
    )


def documents(library: Path) -> Iterator[tuple[str, str]]:
    """Yields (name, text) of each topic and of each module that has docstrings, in a fixed order.

    A line that an earlier document has is left out, so that held-out text is not known from training.

    Args:
        library: Folder of the standard library.
    """
    seen: set[str] = set()
    for name, text in _whole_documents(library):
        lines = [line for line in text.split("\n")[:-1] if line.strip() not in seen]
        if filled := {line.strip() for line in lines} - {""}:
            yield name, "".join(f"{line}\n" for line in lines)
            seen |= filled


def module(name: str) -> str:
    """Returns what a document is held out together with: its package, whose modules share text, or the topic itself.

    Args:
        name: The document's name.
    """
    return name if name.startswith("topics/") else name.partition("/")[0]


def _whole_documents(library: Path) -> Iterator[tuple[str, str]]:
    for path in source_files(library):
        name = path.relative_to(library).as_posix()
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):  # a template or a file for another Python
            continue
        if name == TOPICS:
            yield from _topics(tree)
        elif text := "\n\n".join(_docstrings(tree)):
            yield name, text + "\n"


def _topics(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The entries of `topics = {name: text}`, sorted by name."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Dict):
            for name, text in sorted(ast.literal_eval(statement.value).items()):
                yield f"topics/{name}", text.rstrip("\n") + "\n"


def _docstrings(node: ast.AST) -> Iterator[str]:
    """The docstrings of a module, its classes and functions, in the order of the source."""
    if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node, clean=False)):
        if text := inspect.cleandoc(text):
            # A lone surrogate is legal in a Python string but not in UTF-8.
            yield text.encode("utf-8", "replace").decode("utf-8")
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _docstrings(child)
