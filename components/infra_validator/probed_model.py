"""The exported model as a client of a server sees it: four signatures, each of which checks its own answers.

`probe.py` imports this module in a process that cannot import this project.
"""

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)


class Wrong(Exception):
    """An answer that a client could not use; the message says what was expected."""


def expect(condition, message):
    """Checks an answer.

    Args:
        condition: What must be true.
        message: What was found instead.

    Raises:
        Wrong: If the condition is false.
    """
    if not condition:
        raise Wrong(message)


class ProbedModel:
    """The four signatures; every answer is checked for shape, type, finite numbers and sense.

    Each method returns its answer as arrays and raises `Wrong` if a check fails. Texts, prompts and lines are lists of
    bytes.

    Args:
        loaded: The loaded SavedModel, or another object with `signatures`.
        words: The vocabulary, a list of bytes.
    """

    def __init__(self, loaded, words):
        self.loaded = loaded
        self.words = words
        self.ids = {word: i for i, word in enumerate(words)}
        self.unk_is_a_symbol = sum(b"<unk>" in word for word in words) == 1

    @classmethod
    def load(cls, path):
        """Loads a SavedModel with its vocabulary.

        Args:
            path: The SavedModel's folder.
        """
        loaded = tf.saved_model.load(str(path), tags=["serve"])
        words = (path / "assets" / "vocabulary.txt").read_bytes()
        return cls(loaded, words.removesuffix(b"\n").split(b"\n"))

    def call(self, signature, **inputs):
        """Calls a signature and checks the types of its answer.

        Args:
            signature: The signature's name.
            **inputs: Its inputs, tensors by name.

        Returns:
            The answer, arrays by name.

        Raises:
            Wrong: If there is no such signature, or floats of the answer are not finite or not float32.
        """
        expect(signature in self.loaded.signatures, f"there is no signature {signature!r}")
        answer = {key: value.numpy() for key, value in self.loaded.signatures[signature](**inputs).items()}
        for key, value in answer.items():
            if value.dtype.kind == "f":
                expect(value.dtype == np.float32, f"{key} is {value.dtype}, not float32")
                expect(np.isfinite(value).all(), f"{key} has numbers that are not finite")
        return answer

    def score(self, texts):
        """Calls `score` and checks that its figures agree with each other.

        Args:
            texts: The texts.
        """
        answer = self.call("score", text=tf.constant(texts))
        tokens, log_probabilities = answer["tokens"], answer["token_log_probabilities"]
        rows, lengths = len(texts), answer["num_tokens"]
        expect(lengths.shape == (rows,), f"num_tokens has the shape {lengths.shape} for {rows} texts")
        shapes = f"tokens and token_log_probabilities have the shapes {tokens.shape} and {log_probabilities.shape}"
        expect(tokens.shape == log_probabilities.shape == (rows, max(lengths, default=0)), shapes)
        real = np.arange(tokens.shape[1]) < lengths[:, None]
        expect(((tokens != b"") == real).all(), "num_tokens does not count the tokens")
        expect((log_probabilities <= 0).all(), "a log-probability is above 0")
        expect(not log_probabilities[~real].any(), "a log-probability in the padding is not 0")
        totals = log_probabilities.sum(-1, dtype=np.float64)
        same = np.allclose(answer["log_probability"], totals, rtol=1e-4)
        expect(same, "log_probability is not the sum of the tokens'")
        perplexities = np.exp(-totals / np.maximum(lengths, 1))
        expect(np.allclose(answer["perplexity"], perplexities, rtol=1e-3), "perplexity does not follow from the tokens")
        return answer

    def next_words(self, texts):
        """Calls `serving_default` and checks the words and their probabilities.

        Args:
            texts: The texts that the words are to follow.
        """
        answer = self.call("serving_default", text=tf.constant(texts))
        words, probabilities = answer["words"], answer["probabilities"]
        shapes = f"words and probabilities have the shapes {words.shape} and {probabilities.shape}"
        expect(words.shape == probabilities.shape == (len(texts), 10), f"{shapes} for {len(texts)} texts")
        expect((probabilities >= 0).all() and (probabilities.sum(-1) <= 1.001).all(), "probabilities are out of range")
        expect((np.diff(probabilities) <= 0).all(), "probabilities are not sorted, best first")
        for row in words.tolist():
            expect(not {b"<unk>", b"<eos>"} & set(row), f"a reserved symbol is offered: {row}")
            offered = [word for word in row if word]
            expect(len(set(offered)) == len(offered), f"a word is offered twice: {row}")
        return answer

    def generate(self, prompts, max_words=8, temperature=1.0, top_k=0, top_p=1.0):
        """Calls `generate` with the same options for all prompts and checks the texts.

        Args:
            prompts: The texts to continue.
            max_words: Largest number of words to write.
            temperature: Divides the logits; 0 always takes the likeliest word.
            top_k: Number of likeliest words to choose from; 0 for all words.
            top_p: Share of the probability whose likeliest words are chosen from; 1 for all words.

        Returns:
            The continuations, an array of bytes [rows].
        """
        rows = len(prompts)
        options = {"max_words": max_words, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        options = {name: tf.fill([rows], value) for name, value in options.items()}
        answer = self.call("generate", prompt=tf.constant(prompts), seed=tf.range(rows), **options)["text"]
        expect(answer.shape == (rows,), f"text has the shape {answer.shape} for {rows} prompts")
        for text in answer.tolist():
            text.decode("utf-8")  # a UnicodeDecodeError says what is wrong
            expect(len(text.split()) <= max_words, f"more than {max_words} words: {text!r}")
            expect(not (self.unk_is_a_symbol and b"<unk>" in text), f"<unk> was written: {text!r}")
        return answer

    def step(self, token_ids, state=None):
        """Calls `step` and checks the probabilities.

        Args:
            token_ids: The token of each row.
            state: The state of a former answer, or None for the state in which a text begins.
        """
        rows = len(token_ids)
        if state is None:
            expect("step" in self.loaded.signatures, "there is no signature 'step'")
            spec = self.loaded.signatures["step"].structured_input_signature[1]["state"]
            state = np.zeros([rows, *spec.shape[1:]], np.float32)
        answer = self.call("step", token_ids=tf.constant(token_ids, tf.int64), state=tf.constant(state))
        log_probabilities = answer["log_probabilities"]
        shape = f"log_probabilities has the shape {log_probabilities.shape}"
        expect(log_probabilities.shape == (rows, len(self.words)), f"{shape} for {rows} rows, {len(self.words)} words")
        expect(answer["state"].shape == state.shape, f"the state has the shape {answer['state'].shape}")
        sums = np.exp(log_probabilities.astype(np.float64)).sum(-1)
        expect(np.abs(sums - 1).max(initial=0) < 1e-3, f"probabilities sum to {sums.max()}, not to 1")
        return answer
