"""A small exported model and plain-Python answers about it, for the tests of serving."""

import keras
import numpy as np
import tensorflow as tf

from models.language_model import LanguageModel
from models.serving import export
from models.text.tokenizer import EOS_ID, UNK_ID, Tokenizer
from tests.models.reference import log_softmax

WORDS = ["<unk>", "<eos>", *(f"w{i}" for i in range(38))]
TEXTS = ["", "   ", "w1", "never-seen", "w1 w2\nw3\n", "\n\nw5 w6 w7 w8", "w1 w30 " * 100, "w9\n" * 17]


def token_ids(text, open_last_line=False):
    """Ids of a text of these tests, by plain Python."""
    lines = [line for line in text.split("\n") if line.split()]
    words = [word for line in lines for word in [*line.split(), "<eos>"]]
    if open_last_line and words and not text.rstrip(" ").endswith("\n"):
        words.pop()
    return [WORDS.index(word) if word in WORDS else UNK_ID for word in words]


def make_model(words=WORDS, **settings):
    keras.utils.set_random_seed(7)
    return LanguageModel(len(words), **{"units": 16, "init_scale": 0.8} | settings)


def export_and_load(folder, model, words=WORDS):
    folder.mkdir(exist_ok=True)
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n")
    tokenizer = Tokenizer("whitespace", False, False, folder / "vocabulary.txt")
    export.export(model, tokenizer, folder / "saved_model", {"data": "w1 to w37, é"})
    return tf.saved_model.load(str(folder / "saved_model"))


def generate(loaded, prompts, max_words=6, temperature=1.0, top_k=0, top_p=1.0, seed=0):
    def full(value, dtype):
        return tf.constant(np.broadcast_to(value, len(prompts)), dtype)

    texts = loaded.signatures["generate"](
        prompt=tf.constant(prompts),
        max_words=full(max_words, tf.int32),
        temperature=full(temperature, tf.float32),
        top_k=full(top_k, tf.int32),
        top_p=full(top_p, tf.float32),
        seed=full(seed, tf.int32),
    )["text"]
    return [text.decode() for text in texts.numpy()]


def read(reference, ids):
    """Reads with a `ReferenceModel`: log-probabilities of each next token [tokens + 1, V], and the last state."""
    inputs, no_masks = np.array([[EOS_ID, *ids]]), np.ones([1 + reference.num_layers, 1, 1])
    hidden, state = reference.hidden_states(reference.weights, inputs, reference.zero_state(1), no_masks)
    kernel, bias = reference.output(reference.weights)
    return log_softmax(hidden[:, 0] @ kernel.T + bias), state[0]


def read_scores(reference, ids):
    """Log-probability of each token, given those before it."""
    return read(reference, ids)[0][np.arange(len(ids)), ids]
