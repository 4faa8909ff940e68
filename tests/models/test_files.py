"""The digests of files, which caches and records on disk have: they must not change."""

import hashlib
import os

from models import files
from models.serving import saved_model


def test_the_digest_of_a_model_is_over_names_and_contents_without_its_card(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "words.txt").write_bytes(b"one\n")
    with open(os.fsencode(tmp_path) + b"/\xff", "wb") as file:  # a name that is not UTF-8
        file.write(b"y")
    parts = [(b"assets/words.txt", b"one\n"), (b"\xff", b"y")]
    expected = hashlib.sha256(b"".join(name + b"\0" + hashlib.sha256(text).digest() for name, text in parts))
    assert saved_model.digest(tmp_path) == expected.hexdigest()
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "model_card.json").write_text("{}")
    assert saved_model.digest(tmp_path) == expected.hexdigest()
    (tmp_path / "assets" / "words.txt").rename(tmp_path / "assets" / "words")
    assert saved_model.digest(tmp_path) != expected.hexdigest()


def test_the_digest_of_a_file_is_that_of_hashlib(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    assert files.file_digest(tmp_path / "file") == hashlib.sha256(b"text").hexdigest()
    assert files.file_digest(str(tmp_path / "file"), "sha1") == hashlib.sha1(b"text").hexdigest()
