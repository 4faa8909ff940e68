"""Trains a language model with only Keras, on the text of Python's own help, and prints what may follow a phrase.

    python -m examples.keras_fit ["a phrase"]

It does not use the pipeline: a few lines of Python make the ids, then come `windows`, `compile` and `fit`. It takes
under a minute on two cores.
"""

import collections
import re
import sys
from pydoc_data.topics import topics

import keras
import numpy as np

from models import LanguageModel, windows

BATCH_SIZE, SEQUENCE_LENGTH = 20, 35
PHRASE = "the object is"


def words_of(text: str) -> list[str]:
    """Cuts a text into words and marks in lower case, with `<eos>` at the end of each sentence or paragraph.

    Args:
        text: The text.

    Returns:
        The words and marks.
    """
    text = re.sub(r"(?<=[.!?:])\s+|\n{2,}", " <eos> ", text.lower())
    return re.findall(r"<eos>|\w+|[^\w\s]", text)


def main() -> None:
    """Trains the model, and prints the ten most probable words after the phrase of the command line."""
    keras.utils.set_random_seed(1)
    words = [word for _, text in sorted(topics.items()) for word in words_of(text)]
    counts = collections.Counter(word for word in words if word != "<eos>")
    vocabulary = ["<unk>", "<eos>", *(word for word, count in counts.most_common() if count > 2)]
    ids = {word: i for i, word in enumerate(vocabulary)}
    tokens = np.array([ids.get(word, 0) for word in words])
    held_out = len(tokens) // 10
    train = windows(tokens[:-held_out], BATCH_SIZE, SEQUENCE_LENGTH)
    valid = windows(tokens[-held_out:], batch_size=1, sequence_length=1000)

    model = LanguageModel(vocabulary_size=len(vocabulary), units=96, dropout=0.2)
    model.compile(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=5.0))
    stop = keras.callbacks.EarlyStopping("val_perplexity", mode="min", patience=1, restore_best_weights=True)
    model.fit(train, validation_data=valid, epochs=6, callbacks=[stop], verbose=2)
    model.summary()

    phrase = " ".join(sys.argv[1:]) or PHRASE
    read = [ids["<eos>"], *(ids.get(word, 0) for word in words_of(phrase))]
    probabilities = keras.ops.softmax(model(np.array([read]))[0, -1])
    best = np.argsort(-np.asarray(probabilities))
    best = [i for i in best if vocabulary[i] not in ("<unk>", "<eos>")][:10]
    print(f"\nAfter {phrase!r}:")
    for i in best:
        print(f"  {vocabulary[i]:12} {probabilities[i]:.4f}")


if __name__ == "__main__":
    main()
