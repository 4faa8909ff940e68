"""Tokenizers of small vocabularies, and the words they give."""

import json

import tensorflow as tf

from models.text.tokenizer import EOS, UNK, Tokenizer


def words(tokenizer, text, **options):
    """The words of one text, as str, `<eos>` shown as a slash."""
    (row,) = tokenizer.words(tf.constant([text]), **options).to_list()
    return [word.decode().replace(EOS, "/") for word in row]


def with_vocabulary(tmp_path, vocabulary, tokenizer="whitespace", lowercase=False, keep_blank_lines=False):
    (tmp_path / "vocabulary.txt").write_bytes(b"".join(word.encode() + b"\n" for word in [UNK, EOS, *vocabulary]))
    settings = {"tokenizer": tokenizer, "lowercase": lowercase, "keep_blank_lines": keep_blank_lines}
    (tmp_path / "tokenizer.json").write_text(json.dumps(settings))
    return Tokenizer.load(tmp_path)
