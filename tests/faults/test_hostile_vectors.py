"""Damaged word vectors: each case ends in an error that names the file, or gives finite vectors."""

import gzip

import numpy as np

from models.text.word_vectors import load_word_vectors
from tests.faults.hostile_cases import check, damaged


def test_damaged_word_vectors_are_refused_or_finite(tmp_path):
    words, vectors = ["the", "of", "zebra"], np.arange(12, dtype=np.float32).reshape(3, 4)
    text = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, vectors, strict=True)).encode()
    binary = b"3 4\n" + b"".join(w.encode() + b" " + row.tobytes() for w, row in zip(words, vectors, strict=True))
    np.save(tmp_path / "whole.npy", vectors)
    array = (tmp_path / "whole.npy").read_bytes()
    formats = {"vectors.txt": b"3 4\n" + text, "vectors.bin": binary, "array.npy": array,
               "vectors.txt.gz": gzip.compress(text), "vectors.bin.gz": gzip.compress(binary)}  # fmt: skip

    def read(name, content):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "array.txt").write_text("\n".join(words) + "\n")
        return load_word_vectors(tmp_path / name, words, 4)

    contents = [(name, *case) for name, whole in formats.items() for case in damaged(whole, 10, 5)]
    contents += [("vectors.txt", repr(c[:40]), c) for c in (
        b"the 1 2 3\n", b"the 1 2 3 4 5\n", b"the a b c d\n", b"the nan 1 2 3\n", b"the 1e99 1 2 3\n",
        b"the 1 2 3 4\nthe 1 2 3 4\n",
        b"9999999999999999999999 4\n", b"4 99999999999999999999\n", b"-1 4\n", b"\xff\xfe\n",
        b"the 1 2 3 4\nof 1 2\n", b"1 4\n", b"0 4\n",
    )]  # fmt: skip
    contents += [("vectors.bin", repr(c), c) for c in (
        b"99999999999 4\n", b"3 99999999999\n", b"3 0\n", b"0 4\n", b"3 4", b"3 4\n" + b"x" * 5000,
        b"1 4\nthe " + b"\xff" * 16,
    )]  # fmt: skip
    for header in ("'descr': '|O'", "'descr': '<f4', 'shape': (10**9, 4)", "'descr': __import__('os')", "{"):
        body = ("{" + header + ", 'fortran_order': False, 'shape': (3, 4), }\n").encode()
        contents.append(
            ("array.npy", header, b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + b"\0" * 48)
        )
    cases = [
        (f"{file}: {name}", str(tmp_path / file).removesuffix(".gz"), lambda f=file, c=content: read(f, c))
        for file, name, content in contents
    ]

    def accepted(name, found):
        return len(found[0]) <= 3 and found[1].shape == (len(found[0]), 4) and np.isfinite(found[1]).all()

    check(150, cases, ValueError, accepted)
