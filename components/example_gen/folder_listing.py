"""Lists a folder of texts: its files, including those behind links, and what cannot be read, with the reason.

The folders are walked here and not by a glob, because `**` skips linked folders without reporting them.
"""

import collections
import errno
import fnmatch
import itertools
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from components.base import ComponentError
from components.example_gen import remote_files
from models.files import is_url

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass
class Listing:
    """The entries below a folder, without hidden names.

    Attributes:
        files: (relative POSIX name, path or URL) of every regular file that may be read, sorted by name.
        skipped: Relative name -> the reason why it cannot be read.
        outside: Names of the files that lie outside the folder, behind a link.
    """

    files: list[tuple[str, str | Path]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)

    def matching(self, pattern: str) -> list[tuple[str, str | Path]]:
        """Returns the files whose names a glob pattern matches; `{a,b}` in it matches either.

        Args:
            pattern: The pattern, as of `example_gen.pattern`.
        """
        parts = [PurePosixPath(alternative).parts for alternative in _alternatives(pattern)]
        return [(name, path) for name, path in self.files if any(_matches(name.split("/"), part) for part in parts)]


def list_folder(folder: str | Path) -> Listing:
    """Lists a folder, following links to folders.

    Every folder is read once, so that loops of links end. A folder's own name is used before the name of a link to it.

    Args:
        folder: An existing folder, or the URL of one.

    Raises:
        ComponentError: If it is a URL that cannot be listed.
    """
    if is_url(folder):
        return Listing([(name, f"{folder}/{name}") for name in remote_files.list_files(str(folder))])
    folder = Path(folder)
    listing, seen = Listing(), set()
    own, linked = collections.deque([(folder, "")]), collections.deque()
    while own or linked:
        place, name = own.popleft() if own else linked.popleft()
        try:
            status = place.stat()
            if (status.st_dev, status.st_ino) in seen:
                listing.skipped[name] = "a folder that is already read under another name"
                continue
            seen.add((status.st_dev, status.st_ino))
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            listing.skipped[name or "."] = _reason(error)
            continue
        for entry in entries:
            if not entry.name.startswith("."):
                _add(listing, entry, f"{name}/{entry.name}" if name else entry.name, own, linked)
    root = folder.resolve()
    listing.files.sort()
    listing.outside = {name for name, path in listing.files if not path.resolve().is_relative_to(root)}
    return listing


def find_files(data_dir: str | Path, pattern: str) -> list[tuple[str | Path, str]]:
    """Finds the files that a pattern matches, without hidden ones.

    Args:
        data_dir: The folder, or its URL.
        pattern: Glob pattern relative to the folder.

    Returns:
        The files with their relative names, sorted by name.

    Raises:
        ComponentError: If the folder is missing or empty, or the pattern is invalid or matches no file.
    """
    if not is_url(data_dir):  # `list_folder` checks a URL, and each listing of one is a request
        check_folder(data_dir)
    if not pattern or PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise ComponentError(
            f"example_gen.pattern: {pattern!r} must be a glob pattern relative to example_gen.data_dir "
            f"({data_dir}), such as '**/*.txt'."
        )
    listing = list_folder(data_dir)
    if matches := listing.matching(pattern):
        return [(path, name) for name, path in matches]
    raise ComponentError(
        f"example_gen.pattern: {pattern!r} matches no file in example_gen.data_dir ({data_dir}), which holds "
        f"{contents(data_dir)}. Set example_gen.pattern to match the text files.{_skipped(listing)}"
    )


def _skipped(listing: Listing) -> str:
    """Returns what could not be read as a sentence for a message."""
    if not listing.skipped:
        return ""
    some = [f"{name} ({reason})" for name, reason in itertools.islice(listing.skipped.items(), 3)]
    return f" {len(listing.skipped):,} could not be read: {', '.join(some)}."


def check_folder(data_dir: str | Path) -> None:
    """Checks that a folder has something in it.

    Args:
        data_dir: The folder, or its URL.

    Raises:
        ComponentError: If it is missing, empty, not a folder, or cannot be read.
    """
    if is_url(data_dir):
        remote_files.list_files(str(data_dir))
        return
    data_dir = Path(data_dir)
    if not data_dir.exists():
        raise ComponentError(f"example_gen.data_dir: there is no {data_dir}. Name the folder that holds the text.")
    if not data_dir.is_dir():
        raise ComponentError(
            f"example_gen.data_dir: {data_dir} is a file. Name its folder, {data_dir.parent}, and choose the file "
            f"with example_gen.pattern={data_dir.name}."
        )
    try:
        empty = next(data_dir.iterdir(), None) is None
    except OSError as error:
        raise ComponentError(f"example_gen.data_dir: {data_dir} cannot be read: {error.strerror}.") from error
    if empty:
        raise ComponentError(f"example_gen.data_dir: {data_dir} is empty. Put the text files there.")


def contents(folder: str | Path) -> str:
    """Lists the first few entries of a folder, or of a URL, for messages.

    Args:
        folder: The folder or URL.
    """
    if is_url(folder):
        names = list(remote_files.list_files(str(folder)))
    else:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in Path(folder).iterdir())
    shown = ", ".join(names[:5]) or "nothing"
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _add(listing: Listing, entry: os.DirEntry, name: str, own: collections.deque, linked: collections.deque) -> None:
    path = Path(entry.path)
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        listing.skipped[name] = "a link to nothing" if error.errno == errno.ENOENT else _reason(error)
        return
    if stat.S_ISDIR(mode):
        (linked if entry.is_symlink() else own).append((path, name))
    elif not stat.S_ISREG(mode):
        listing.skipped[name] = _KINDS.get(stat.S_IFMT(mode), "not a file")
    elif not os.access(path, os.R_OK):
        listing.skipped[name] = os.strerror(errno.EACCES)
    else:
        listing.files.append((name, path))


def _reason(error: OSError) -> str:
    return "a loop of links" if error.errno == errno.ELOOP else error.strerror or str(error)


def _alternatives(pattern: str) -> Iterator[str]:
    """`a{b,c}` -> `ab`, `ac`; braces without a comma are letters."""
    braces = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if braces is None:
        yield pattern
        return
    for choice in braces[1].split(","):
        yield from _alternatives(pattern[: braces.start()] + choice + pattern[braces.end() :])


def _matches(name: list[str], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_matches(name[depth:], pattern[1:]) for depth in range(len(name) + 1))
    return bool(name) and fnmatch.fnmatchcase(name[0], pattern[0]) and _matches(name[1:], pattern[1:])
