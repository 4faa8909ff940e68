"""Tables of damaged and hostile input: variants of a good file, and how its reader must treat each."""

import contextlib
import gzip
import pickle
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

CASE_SECONDS = 20  # on a busy machine; the slowest takes less than one
JUNK = random.Random(5).randbytes(3000)
OTHER_FILES = {
    "empty": b"",
    "a newline": b"\n",
    "NULs": b"\0" * 5000,
    "random": JUNK,
    "zip": b"PK\x03\x04" + JUNK,
    "gzip": gzip.compress(b"text\n" * 100),
    "pickle": pickle.dumps(Path("/")),
    "UTF-16": "some words\n".encode("utf-16") * 50,
    "deep JSON": b"[" * 100_000,
    "JSON": b'{"format": 1}',
    "null": b"null",
    "a list": b"[1, 2]",
    "a long line": b"x" * 3_000_000,
}  # fmt: skip


def damaged(content: bytes, flips: int = 12, cuts: int = 8) -> Iterator[tuple[str, bytes]]:
    """A file's contents cut short, with a bit flipped, or replaced completely."""
    for place in sorted(random.Random(len(content)).sample(range(len(content)), min(flips, len(content)))):
        yield f"bit flipped at {place}", content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]
    for part in range(1, cuts + 1):
        length = len(content) * part // (cuts + 1)
        yield f"cut to {length}", content[:length]
    yield "twice", content * 2
    yield from OTHER_FILES.items()


@contextlib.contextmanager
def _limited():
    def hang(*_):
        raise TimeoutError(f"it took longer than {CASE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(CASE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(
    at_least: int,
    cases: Iterable[tuple[str, str, Callable[[], object]]],
    errors: type[Exception] | tuple[type[Exception], ...],
    accepted: Callable[[str, object], bool] = lambda name, result: True,
) -> None:
    """Runs cases: each must raise one of `errors` with a given word in its message, or give an `accepted` result.

    Args:
        at_least: How many cases there have to be.
        cases: Name, what the message has to name, and what reads the input.
        errors: The errors whose messages are shown to people.
        accepted: Takes a case's name and result.
    """
    wrong, count = [], 0
    for name, named, read in cases:
        count += 1
        try:
            with _limited():
                result = read()
            if not accepted(name, result):
                wrong.append(f"{name}: taken for good: {str(result)[:200]}")
        except errors as error:
            if named not in str(error) or len(str(error)) > 2500 or "allow_pickle" in str(error):
                wrong.append(f"{name}: {len(str(error))} characters: {str(error)[:300]}")
            if not isinstance(errors, tuple) and type(error) is not errors:  # JSONDecodeError is a ValueError, too
                wrong.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
        except BaseException as error:
            wrong.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    assert count >= at_least
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong)


def of_file(path: Path, flips: int) -> list[tuple[str, bytes]]:
    """Returns damaged variants of an existing file."""
    return list(damaged(path.read_bytes(), flips, 10))
