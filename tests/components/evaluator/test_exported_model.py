"""How the Evaluator divides texts that it tokenizes."""

import tensorflow as tf

from components.evaluator import exported_model


def test_texts_that_are_tokenized_at_once_stay_small_when_padded(monkeypatch):
    monkeypatch.setattr(exported_model, "PADDED_BYTES", 100)
    texts = [b"x" * length for length in (3, 5, 1, 90, 2, 2, 400, 7, 7)]
    groups = list(exported_model._groups(texts))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) == 1 or len(group) * max(map(len, group)) <= 100 for group in groups)
    assert [len(group) for group in groups] == [3, 1, 2, 1, 2]
    assert list(exported_model._groups([b"", b""])) == [[b"", b""]] and not list(exported_model._groups([]))


def test_token_ids_do_not_keep_the_padded_arrays_that_they_were_cut_from():
    model = object.__new__(exported_model.ExportedModel)
    model._tokenize = lambda texts: (tf.zeros([len(texts), 1000], tf.int32), tf.strings.length(texts))
    rows = model.tokenize([b"abc", b"a"])
    assert [len(row) for row in rows] == [3, 1] and all(row.base is None for row in rows)
