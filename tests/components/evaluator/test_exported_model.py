"""How the Evaluator divides texts that it tokenizes."""

from components.evaluator import exported_model


def test_texts_that_are_tokenized_at_once_stay_small_when_padded(monkeypatch):
    monkeypatch.setattr(exported_model, "PADDED_BYTES", 100)
    texts = [b"x" * length for length in (3, 5, 1, 90, 2, 2, 400, 7, 7)]
    groups = list(exported_model._groups(texts))
    assert [text for group in groups for text in group] == texts
    assert all(len(group) == 1 or len(group) * max(map(len, group)) <= 100 for group in groups)
    assert [len(group) for group in groups] == [3, 1, 2, 1, 2]
    assert list(exported_model._groups([b"", b""])) == [[b"", b""]] and not list(exported_model._groups([]))
