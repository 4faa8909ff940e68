"""Loads a SavedModel as a server does and sends it real and awkward requests.

This program runs in a process that cannot import this project, but for `probed_model.py` beside it:
`python -E -P probe.py MODEL_DIR SAMPLE_DIR`. The sample is `sample.txt` (text of the eval split) and `sample_ids.npy`
(the split's token ids from the start). Each line of standard output is one JSON object: `{"begin": request}`,
`{"request": request, "seconds": s, "failure": reason or null}`, or a figure. The program ends when standard input
closes.
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
    sys.path.append(str(Path(__file__).parent))
    from probed_model import ProbedModel, Wrong, expect
else:
    from .probed_model import ProbedModel, Wrong, expect
import numpy as np
import tensorflow as tf

EOS_ID = 1
LONG_TEXT_WORDS = 20_000
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


def emit(**event):
    """Writes a line of JSON to standard output.

    Args:
        **event: The line's keys and values.
    """
    sys.stdout.write(json.dumps(event) + "\n")  # one write for each line, so that threads do not mix their lines
    sys.stdout.flush()


def request(name, function, *args):
    """Makes one request and reports it.

    Args:
        name: The request's name in the report.
        function: Makes the request and checks its answer.
        *args: The function's arguments.

    Returns:
        What the function returns, or None if the request failed.
    """
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


def same_in_a_batch(together, row, alone, tolerance=1e-4):
    """Checks that a text got the same scores in a batch as alone.

    Args:
        together: The answer of `score` to the batch.
        row: The text's row in the batch.
        alone: The answer of `score` to the text alone.
        tolerance: Largest difference of two log-probabilities.

    Raises:
        Wrong: If the scores differ.
    """
    n = alone["num_tokens"][0]
    expect(together["num_tokens"][row] == n, "another number of tokens in a batch than alone")
    difference = together["token_log_probabilities"][row, :n] - alone["token_log_probabilities"][0, :n]
    expect(np.abs(difference).max(initial=0) < tolerance, "other log-probabilities in a batch than alone")


def awkward_requests(model):
    """Sends each awkward text through each signature that reads text, alone and all together.

    Args:
        model: The `ProbedModel`.
    """
    alone = {}
    for name, text in AWKWARD.items():
        alone[name] = request(f"score, {name}", model.score, [text])
        request(f"serving_default, {name}", model.next_words, [text])
        request(f"generate, {name}", model.generate, [text])
    together = request("score, all awkward texts in one batch", model.score, list(AWKWARD.values()))
    for row, (name, answer) in enumerate(alone.items()):
        if answer is not None and together is not None:
            request(f"score, {name}, in a batch and alone", same_in_a_batch, together, row, answer)


def real_requests(model, lines):
    """Sends lines of the eval split, in batches of 1 and of 512, and tries the sampling settings.

    Args:
        model: The `ProbedModel`.
        lines: Lines of the eval split.
    """
    for lines_of_batch in (lines[:1], lines):
        rows = len(lines_of_batch)
        size = f"a batch of {rows}"
        request(f"score, {size}", model.score, lines_of_batch)
        request(f"serving_default, {size}", model.next_words, lines_of_batch)
        request(f"step, {size}", model.step, np.arange(rows) % len(model.words))
        request(f"generate, {size}", model.generate, lines_of_batch, 3)
    for how in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}, {"temperature": 0.5, "top_k": 40, "top_p": 0.9}):
        request(f"generate, {how}", lambda how=how: model.generate(lines[:2], **how))

    def same_seed():
        texts = [model.generate(lines[:4]).tolist() for _ in range(2)]
        expect(texts[0] == texts[1], f"the same seeds gave different texts: {texts}")

    request("generate, the same seeds twice", same_seed)
    for how in OUT_OF_RANGE:
        request(f"generate, {how} is refused", refuses, lambda how=how: model.generate(lines[:1], **how))
    request("step, no such word is refused", refuses, lambda: model.step([len(model.words)]))


def refuses(call):
    """Checks that a request with impossible values is refused.

    Args:
        call: Makes the request.

    Raises:
        Wrong: If the request is answered.
    """
    try:
        call()
    except tf.errors.InvalidArgumentError:
        return
    raise Wrong("answered, expected to be refused")


def long_requests(model, lines):
    """Sends `LONG_TEXT_WORDS` words at once, two requests at a time.

    Args:
        model: The `ProbedModel`.
        lines: Lines of the eval split.
    """
    words = b" ".join(lines).split()
    text = [b" ".join((words * (LONG_TEXT_WORDS // len(words) + 1))[:LONG_TEXT_WORDS])]
    with ThreadPoolExecutor(2) as pool:
        pool.submit(request, f"score, {LONG_TEXT_WORDS:,} words", model.score, text)
        pool.submit(request, f"serving_default, {LONG_TEXT_WORDS:,} words", model.next_words, text)
        pool.submit(request, f"generate, after {LONG_TEXT_WORDS:,} words", model.generate, text)


def agrees_with_step(model, line):
    """Reads a line word by word, and checks that `score` and `serving_default` agree with that.

    Args:
        model: The `ProbedModel`.
        line: A line of the eval split.

    Raises:
        Wrong: If an answer of one signature differs from that of `step`.
    """
    scored = model.score([line])
    n = min(20, scored["num_tokens"][0])
    before, state = EOS_ID, None
    for position, token in enumerate(scored["tokens"][0, :n]):
        answer = model.step([before], state)
        before, state = model.ids[token], answer["state"]
        difference = answer["log_probabilities"][0, before] - scored["token_log_probabilities"][0, position]
        expect(abs(difference) < 1e-4, f"step and score differ by {difference:.2g} at token {position}")
    first = model.next_words([b""])
    log_probabilities = model.step([EOS_ID])["log_probabilities"][0]
    for word, probability in zip(first["words"][0], first["probabilities"][0], strict=True):
        expected = np.exp(log_probabilities[model.ids[word]]) if word else 0.0
        expect(abs(probability - expected) < 1e-4, f"serving_default and step differ for {word!r}")


def agrees_with_evaluator(model, text, token_ids):
    """Checks that `score` reads raw text as Transform did, and gives the Evaluator's perplexity.

    Args:
        model: The `ProbedModel`.
        text: The beginning of the eval split.
        token_ids: The split's token ids from the start, at least as many as the text has.

    Raises:
        Wrong: If the tokens or the perplexity differ.
    """
    scored = model.score([text])
    n = scored["num_tokens"][0]
    expected = [model.words[i] for i in token_ids[:n]]
    expect(scored["tokens"][0].tolist() == expected, "the exported tokenizer gives other tokens than Transform")
    ids = np.asarray(token_ids[:n], np.int32)[None]
    before = np.concatenate([[[EOS_ID]], ids[:, :-1]], 1).astype(np.int32)
    state = np.zeros([1, *model.loaded.signatures["step"].structured_input_signature[1]["state"].shape[1:]], np.float32)
    evaluated = model.loaded.evaluate_ids(tf.constant(before), tf.constant(ids), tf.constant(state))[0].numpy()
    perplexity = np.exp(-evaluated.mean(dtype=np.float64))
    by_score = scored["perplexity"][0]
    message = f"score gives a perplexity of {by_score:.4f} over {n} tokens, the Evaluator {perplexity:.4f}"
    expect(abs(by_score / perplexity - 1) < 1e-3, message)


def latency_ms(model, lines):
    """Measures the median time in milliseconds of next words for 20 words, one request at a time.

    Args:
        model: The `ProbedModel`.
        lines: Lines of the eval split.
    """
    words = b" ".join(lines).split()
    context = [b" ".join((words * 20)[:20])]
    model.next_words(context)
    times = []
    for _ in range(30):
        start = time.perf_counter()
        model.next_words(context)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def main(model_dir, sample_dir):
    """Sends all requests to the model, the longest ones only if no other failed.

    Args:
        model_dir: The SavedModel's folder.
        sample_dir: Folder of `sample.txt` and `sample_ids.npy`.
    """
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
    tf.config.experimental.enable_tensor_float_32_execution(False)  # a GPU would round products to 10 bits
    start = time.perf_counter()
    model = request("loading the model", ProbedModel.load, Path(model_dir))
    if model is None:
        return
    emit(load_seconds=round(time.perf_counter() - start, 3))
    text = (Path(sample_dir) / "sample.txt").read_bytes()
    lines = [line for line in text.split(b"\n") if line.strip()]
    lines = (lines * (BATCH // len(lines) + 1))[:BATCH]
    real_requests(model, lines)
    awkward_requests(model)
    request("step, word by word through a line", agrees_with_step, model, lines[0])
    token_ids = np.load(Path(sample_dir) / "sample_ids.npy")
    request("score, against the Evaluator", agrees_with_evaluator, model, text, token_ids)
    measured = request("serving_default, latency", latency_ms, model, lines)
    emit(latency_ms=measured and round(measured, 3))
    if not failures:  # otherwise the model is refused anyway
        long_requests(model, lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
