"""Samples of a model's predictions and of its embedding, on fixed words: for people to look at, not for the gate."""

import numpy as np

PHRASES = (
    "the",
    "in the",
    "it is",
    "there is no",
    "the number of",
    "one of the most",
    "a new version of the",
    "he said that he would",
)
# Words of news and of programming. Those in the vocabulary are shown, and frequent words fill up the dozen.
WORDS = (
    "company", "market", "president", "million", "year", "monday", "bank", "children",
    "function", "string", "value", "method", "class", "file", "error", "list",
)  # fmt: skip
NUM_WORDS = 12
NUM_NEIGHBOURS = 8
MAP_WORDS = 300  # words on the 2-D map
CANDIDATES = 20_000  # most frequent words that can be a neighbour


def predictions(candidate, baseline) -> dict:
    """Lists the ten most probable next words of the fixed phrases.

    Args:
        candidate: The judged `ExportedModel`.
        baseline: The baseline's `ExportedModel`, or None.

    Returns:
        The content of `predictions.json`.
    """
    rows = {"candidate": candidate.next_words(list(PHRASES))}
    if baseline is not None:
        rows["baseline"] = baseline.next_words(list(PHRASES))
    return {
        "phrases": [
            {"text": phrase, **{name: words[number] for name, words in rows.items()}}
            for number, phrase in enumerate(PHRASES)
        ]
    }


def embedding(table: np.ndarray, words: list[str]) -> dict:
    """Finds the nearest neighbours of a dozen words, and projects frequent words on the table's two main directions.

    Args:
        table: float32 [V, d], one row a word.
        words: The vocabulary by id, most frequent first after `<unk>` and `<eos>`.

    Returns:
        The content of `embedding.json`. The map is empty if there are fewer than three words to show.
    """
    vectors = table[:CANDIDATES].astype(np.float64)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit[:2] = 0  # <unk> and <eos> are never neighbours
    neighbours = []
    for word_id in _chosen(words[:CANDIDATES]):
        cosines = unit @ unit[word_id]
        cosines[word_id] = -np.inf
        nearest = np.argsort(-cosines, kind="stable")[:NUM_NEIGHBOURS]
        near = [{"word": words[other], "cosine": float(cosines[other])} for other in nearest if other > 1]
        neighbours.append({"word": words[word_id], "neighbours": near})
    shown = [word_id for word_id in range(2, min(len(words), CANDIDATES)) if _is_word(words[word_id])][:MAP_WORDS]
    if len(shown) < 3 or table.shape[1] < 2:
        return {"neighbours": neighbours, "map": []}
    centred = unit[shown] - unit[shown].mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    directions *= np.sign(directions[:, np.argmax(np.abs(directions), axis=1)].diagonal())[:, None]  # sign is arbitrary
    places = centred @ directions.T
    return {
        "neighbours": neighbours,
        "map": [{"word": words[i], "x": float(x), "y": float(y)} for i, (x, y) in zip(shown, places, strict=True)],
    }


def _is_word(word: str) -> bool:
    return any(character.isalpha() for character in word) and not word.startswith(("<", "##"))


def _chosen(words: list[str]) -> list[int]:
    ids = {word: word_id for word_id, word in enumerate(words)}
    chosen = [ids[word] for word in WORDS if word in ids]
    frequent = [i for i in range(2, len(words)) if len(words[i]) >= 5 and words[i].isalpha() and i not in set(chosen)]
    return (chosen + frequent)[:NUM_WORDS]
