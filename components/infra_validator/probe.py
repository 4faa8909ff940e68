"""Loads a SavedModel as a server does and sends it real and awkward requests.

This program runs in a process that cannot import this project: `python -I probe.py MODEL_DIR SAMPLE_DIR`. The sample is
`sample.txt` (text of the eval split) and `sample_ids.npy` (the split's token ids from the start). Each line of standard
output is one JSON object: `{"begin": request}`, `{"request": request, "seconds": s, "failure": reason or null}`, or a
figure. The program ends when standard input closes.
"""

import json
import os
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.modules.update(sklearn=None, matplotlib=None)  # Keras would import them: two fifths of the time to start
import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

EOS_ID = 1
LONG_WORDS = 20_000
BATCH = 512
AWKWARD = {
    "an empty text": b"",
    "only spaces": b"    ",
    "only newlines": b"\n\n\n",
    "one unknown word": b"qzxv0qzxv1qzxv",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 ok 🙂".encode(),
    "combining marks": "e\u0301 a\u0323\u0302 Z\u0351\u036b\u0343\u036a".encode(),
    "right-to-left text": "שלום עולם \u202eabc\u202c مرحبا".encode(),
    "NUL": b"a \x00 b\x00c",
    "invalid UTF-8": b"caf\xe9 \xff\xfe \xed\xa0\x80 \xf0\x9f",
    "the reserved symbols": b"<unk> <eos> <pad>",
    "a word of 100,000 letters": b"x" * 100_000,
    "control characters": b"\x01\x02\t\x0b\x0c\r\n\x1b[0m \x7f",
}
OUT_OF_RANGE = [{"temperature": float("nan")}, {"temperature": float("inf")}, {"temperature": -1.0}]
OUT_OF_RANGE += [{"top_p": float("nan")}, {"top_p": 1.5}, {"top_k": -1}, {"max_words": -1}]

failures = []  # the failures of all requests so far


class Wrong(Exception):
    """An answer that a client could not use; the message says what was expected."""


def expect(condition, message):
    """Raises `Wrong` with the message unless the condition is true."""
    if not condition:
        raise Wrong(message)


def emit(**event):
    """Writes a line of JSON to standard output."""
    sys.stdout.write(json.dumps(event) + "\n")  # one write for each line, so that threads do not mix their lines
    sys.stdout.flush()


def request(name, function, *args):
    """Makes one request and reports it; returns its checked answer, or None if it failed."""
    emit(begin=name)
    start, answer, failure = time.perf_counter(), None, None
    try:
        answer = function(*args)
    except Wrong as wrong:
        failure = str(wrong)
    except Exception as error:  # whatever the model raises is an answer that a client would see
        failure = f"raised {type(error).__name__}: {' '.join(str(error).split())[:500]}"
    failures.extend([failure] if failure else [])
    emit(request=name, seconds=round(time.perf_counter() - start, 4), failure=failure)
    return answer


class Server:
    """The four signatures; every answer is checked for shape, type, finite numbers and sense.

    Each method returns its answer as arrays and raises `Wrong` if a check fails. Texts, prompts and lines are lists of
    bytes.

    Args:
        path: The SavedModel's folder.
    """

    def __init__(self, path):
        self.model = tf.saved_model.load(str(path), tags=["serve"])
        words = (path / "assets" / "vocabulary.txt").read_bytes()
        self.words = words.removesuffix(b"\n").split(b"\n")
        self.ids = {word: i for i, word in enumerate(self.words)}
        self.unk_is_a_symbol = sum(b"<unk>" in word for word in self.words) == 1

    def call(self, signature, **inputs):
        """Calls a signature and checks the types of its answer."""
        expect(signature in self.model.signatures, f"there is no signature {signature!r}")
        answer = {key: value.numpy() for key, value in self.model.signatures[signature](**inputs).items()}
        for key, value in answer.items():
            if value.dtype.kind == "f":
                expect(value.dtype == np.float32, f"{key} is {value.dtype}, not float32")
                expect(np.isfinite(value).all(), f"{key} has numbers that are not finite")
        return answer

    def score(self, texts):
        """Calls `score` and checks that its figures agree with each other."""
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
        """Calls `serving_default` and checks the words and their probabilities."""
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
        """Calls `generate` with the same options for all prompts and checks the texts."""
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
        """Calls `step`, from the zero state if none is given, and checks the probabilities."""
        rows = len(token_ids)
        if state is None:
            expect("step" in self.model.signatures, "there is no signature 'step'")
            spec = self.model.signatures["step"].structured_input_signature[1]["state"]
            state = np.zeros([rows, *spec.shape[1:]], np.float32)
        answer = self.call("step", token_ids=tf.constant(token_ids, tf.int64), state=tf.constant(state))
        log_probabilities = answer["log_probabilities"]
        shape = f"log_probabilities has the shape {log_probabilities.shape}"
        expect(log_probabilities.shape == (rows, len(self.words)), f"{shape} for {rows} rows, {len(self.words)} words")
        expect(answer["state"].shape == state.shape, f"the state has the shape {answer['state'].shape}")
        sums = np.exp(log_probabilities.astype(np.float64)).sum(-1)
        expect(np.abs(sums - 1).max(initial=0) < 1e-3, f"probabilities sum to {sums.max()}, not to 1")
        return answer


def same_in_a_batch(together, row, alone, tolerance=1e-4):
    """Checks that a text got the same scores in a batch as alone."""
    n = alone["num_tokens"][0]
    expect(together["num_tokens"][row] == n, "another number of tokens in a batch than alone")
    difference = together["token_log_probabilities"][row, :n] - alone["token_log_probabilities"][0, :n]
    expect(np.abs(difference).max(initial=0) < tolerance, "other log-probabilities in a batch than alone")


def awkward_requests(server):
    """Sends each awkward text through each signature that reads text, alone and all together."""
    alone = {}
    for name, text in AWKWARD.items():
        alone[name] = request(f"score, {name}", server.score, [text])
        request(f"serving_default, {name}", server.next_words, [text])
        request(f"generate, {name}", server.generate, [text])
    together = request("score, all awkward texts in one batch", server.score, list(AWKWARD.values()))
    for row, (name, answer) in enumerate(alone.items()):
        if answer is not None and together is not None:
            request(f"score, {name}, in a batch and alone", same_in_a_batch, together, row, answer)


def real_requests(server, lines):
    """Sends lines of the eval split, in batches of 1 and of 512, and tries the sampling settings."""
    for lines_of_batch in (lines[:1], lines):
        rows = len(lines_of_batch)
        size = f"a batch of {rows}"
        request(f"score, {size}", server.score, lines_of_batch)
        request(f"serving_default, {size}", server.next_words, lines_of_batch)
        request(f"step, {size}", server.step, np.arange(rows) % len(server.words))
        request(f"generate, {size}", server.generate, lines_of_batch, 3)
    for how in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}, {"temperature": 0.5, "top_k": 40, "top_p": 0.9}):
        request(f"generate, {how}", lambda how=how: server.generate(lines[:2], **how))

    def same_seed():
        texts = [server.generate(lines[:4]).tolist() for _ in range(2)]
        expect(texts[0] == texts[1], f"the same seeds gave different texts: {texts}")

    request("generate, the same seeds twice", same_seed)
    for how in OUT_OF_RANGE:
        request(f"generate, {how} is refused", refuses, lambda how=how: server.generate(lines[:1], **how))
    request("step, no such word is refused", refuses, lambda: server.step([len(server.words)]))


def refuses(call):
    """Checks that a request with impossible values is refused."""
    try:
        call()
    except tf.errors.InvalidArgumentError:
        return
    raise Wrong("answered, expected to be refused")


def long_requests(server, lines):
    """Sends `LONG_WORDS` words at once, two requests at a time."""
    words = b" ".join(lines).split()
    text = [b" ".join((words * (LONG_WORDS // len(words) + 1))[:LONG_WORDS])]
    with ThreadPoolExecutor(2) as pool:
        pool.submit(request, f"score, {LONG_WORDS:,} words", server.score, text)
        pool.submit(request, f"serving_default, {LONG_WORDS:,} words", server.next_words, text)
        pool.submit(request, f"generate, after {LONG_WORDS:,} words", server.generate, text)


def agrees_with_step(server, line):
    """Reads a line word by word, and checks that `score` and `serving_default` agree with that."""
    scored = server.score([line])
    n = min(20, scored["num_tokens"][0])
    before, state = EOS_ID, None
    for position, token in enumerate(scored["tokens"][0, :n]):
        answer = server.step([before], state)
        before, state = server.ids[token], answer["state"]
        difference = answer["log_probabilities"][0, before] - scored["token_log_probabilities"][0, position]
        expect(abs(difference) < 1e-4, f"step and score differ by {difference:.2g} at token {position}")
    first = server.next_words([b""])
    log_probabilities = server.step([EOS_ID])["log_probabilities"][0]
    for word, probability in zip(first["words"][0], first["probabilities"][0], strict=True):
        expected = np.exp(log_probabilities[server.ids[word]]) if word else 0.0
        expect(abs(probability - expected) < 1e-4, f"serving_default and step differ for {word!r}")


def agrees_with_evaluator(server, text, token_ids):
    """Checks that `score` reads raw text as Transform did, and gives the Evaluator's perplexity."""
    scored = server.score([text])
    n = scored["num_tokens"][0]
    expected = [server.words[i] for i in token_ids[:n]]
    expect(scored["tokens"][0].tolist() == expected, "the exported tokenizer gives other tokens than Transform")
    ids = np.asarray(token_ids[:n], np.int32)[None]
    before = np.concatenate([[[EOS_ID]], ids[:, :-1]], 1).astype(np.int32)
    state = np.zeros([1, *server.model.signatures["step"].structured_input_signature[1]["state"].shape[1:]], np.float32)
    evaluated = server.model.evaluate_ids(tf.constant(before), tf.constant(ids), tf.constant(state))[0].numpy()
    perplexity = np.exp(-evaluated.mean(dtype=np.float64))
    by_score = scored["perplexity"][0]
    message = f"score gives a perplexity of {by_score:.4f} over {n} tokens, the Evaluator {perplexity:.4f}"
    expect(abs(by_score / perplexity - 1) < 1e-3, message)


def latency_ms(server, lines):
    """Returns the median time in milliseconds of next words for 20 words, one request at a time."""
    words = b" ".join(lines).split()
    context = [b" ".join((words * 20)[:20])]
    server.next_words(context)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        server.next_words(context)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main(model_dir, sample_dir):
    """Sends all requests to the model, the longest ones only if no other failed."""
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU would round products to 10 bits
    start = time.perf_counter()
    server = request("loading the model", Server, Path(model_dir))
    if server is None:
        return
    emit(load_seconds=round(time.perf_counter() - start, 3))
    text = (Path(sample_dir) / "sample.txt").read_bytes()
    lines = [line for line in text.split(b"\n") if line.strip()]
    lines = (lines * (BATCH // len(lines) + 1))[:BATCH]
    real_requests(server, lines)
    awkward_requests(server)
    request("step, word by word through a line", agrees_with_step, server, lines[0])
    token_ids = np.load(Path(sample_dir) / "sample_ids.npy")
    request("score, against the Evaluator", agrees_with_evaluator, server, text, token_ids)
    measured = request("serving_default, latency", latency_ms, server, lines)
    emit(latency_ms=measured and round(measured, 3))
    if not failures:  # otherwise the model is refused anyway
        long_requests(server, lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
