"""Exports a language model as a SavedModel with tokenizer, vocabulary and weights in one graph."""

import json
from pathlib import Path

import tensorflow as tf

from models.serving import saved_model, warm_up
from models.serving.exported_weights import ExportedWeights
from models.serving.reader import WindowedReader
from models.serving.sampling import choose_tokens
from models.text.tokenizer import EOS_ID, UNK_ID

NUM_SUGGESTIONS = 10  # next words that `serving_default` offers
MAX_WORDS = 10_000  # the limit of `max_words`, so that one answer of `generate` cannot take minutes
PROMPT_TOKENS = 512  # only the last ones of a prompt are read: an LSTM uses about 200, and 400,000 take minutes
MAX_NEWLINES = 2  # newlines that `generate` writes in a row; after them it writes a word
FIRST_WORD_ID = max(UNK_ID, EOS_ID) + 1


def export(model, tokenizer, path: str | Path, card: dict, dtype: str = "float32") -> None:
    """Writes a SavedModel that needs nothing of this project.

    TensorFlow Serving loads it directly, and so does `tf.saved_model.load` after `import tensorflow_text`. Its
    functions are those of `SignatureModule`: four signatures, and three more for programs that load it in Python.

    Args:
        model: A built `LanguageModel`. Its weights are stored once, without optimizer or seeds.
        tokenizer: The `Tokenizer` with the model's vocabulary, which becomes `assets/vocabulary.txt`.
        path: The folder to write.
        card: JSON-serialisable description (data, recipe, perplexities, lineage), written to
            `assets.extra/model_card.json`; the requests that warm TensorFlow Serving up are in the same folder.
        dtype: Type in which the weights are stored: "float32" (default), "float16" or "int8"; see `ExportedWeights`.

    Raises:
        ValueError: If the tokenizer's vocabulary is not as large as the model's, or there is no such `dtype`.
    """
    if tokenizer.vocabulary_size != model.vocabulary_size:
        raise ValueError(
            f"The vocabulary has {tokenizer.vocabulary_size} words, the model {model.vocabulary_size}: export a model "
            "with the vocabulary that it was trained on."
        )
    module = SignatureModule(model, tokenizer, dtype)
    tf.saved_model.save(module, str(path), signatures=module.endpoints)
    write_card(path, card)
    warm_up.write(path, model.num_layers, model.units)


def write_card(path: str | Path, card: dict) -> None:
    """Writes the card of a SavedModel, and replaces an old one.

    Args:
        path: The SavedModel's folder.
        card: JSON-serialisable description of the model.
    """
    card_file = Path(path) / saved_model.CARD
    card_file.parent.mkdir(exist_ok=True)
    card_file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


class SignatureModule(tf.Module):
    """The functions of the SavedModel, over one copy of the weights.

    Texts are raw UTF-8. Each is read from the zero state after an `<eos>`, and the result of a row does not depend on
    the other rows of its batch. Outputs are dense, since TensorFlow Serving cannot return ragged ones.

    Args:
        model: A built `LanguageModel`.
        tokenizer: The `Tokenizer` with its vocabulary.
        dtype: Type in which the weights are stored, as for `export`. Default "float32".

    Attributes:
        endpoints: The signatures, name to `tf.function`: `serving_default`, `score`, `generate`, `step`.
        tokenize: `text` string `[N]` to its tokens as `score` reads them: int32 ids `[N, L]` (0 where padded) and
            int32 lengths `[N]`.
        evaluate_ids: `token_ids` int32 `[N, L]` (the token before each target), `targets` int32 `[N, L]` and `state`
            float32 `[N, layers, 2, units]` to the Evaluator's figures of a window that fits in memory: the targets'
            log-probabilities, float32 `[N, L]`; the number of words strictly more probable than each, int32 `[N, L]`;
            the most probable word's probability, float32 `[N, L]`; and the state after the window.
        read_ids: `token_ids` int32 `[N, L]` and `state` to the state after them, without computing probabilities.
    """

    def __init__(self, model, tokenizer, dtype: str = "float32"):
        super().__init__()
        self._tokenizer = tokenizer  # tracked, so that `assets/vocabulary.txt` is saved
        # Only the weights are tracked: with the whole model its metrics, seeds and optimizer would be saved, too.
        exported = ExportedWeights(model, dtype)
        self._weights, self._scales = exported.weights, exported.scales
        self._reader = WindowedReader(exported)
        spec = tf.TensorSpec
        text = spec([None], tf.string, "text")
        state = spec([None, model.num_layers, 2, model.units], tf.float32, "state")
        generate = [spec([None], tf.string, "prompt")]
        generate += [
            spec([None], dtype, name)
            for name, dtype in [
                ("max_words", tf.int32),
                ("temperature", tf.float32),
                ("top_k", tf.int32),
                ("top_p", tf.float32),
                ("seed", tf.int32),
            ]
        ]
        self.endpoints = {
            "serving_default": tf.function(self._next_words, [text]),
            "score": tf.function(self._score, [text]),
            "generate": tf.function(self._generate, generate),
            "step": tf.function(self._step, [spec([None], tf.int64, "token_ids"), state]),
        }
        self.tokenize = tf.function(self._tokenize, [text])
        ids = [spec([None, None], tf.int32, name) for name in ("token_ids", "targets")]
        self.evaluate_ids = tf.function(self._reader.target_ranks, [*ids, state])
        self.read_ids = tf.function(
            lambda token_ids, state: exported.hidden_states(token_ids, state)[1], [ids[0], state]
        )

    def _tokenize(self, text):
        ids = tf.cast(self._tokenizer.encode(text), tf.int32)
        return ids.to_tensor(), tf.cast(ids.row_lengths(), tf.int32)

    def _score(self, text):
        """Signature `score`: how probable a text is, token by token.

        Args:
            text: string `[N]`.

        Returns:
            `tokens` string `[N, L]` as looked up ("" where padded), `token_log_probabilities` float32 `[N, L]` (natural
            logarithms, 0 where padded), `log_probability` float32 `[N]`, `num_tokens` int32 `[N]` (`<eos>` included)
            and `perplexity` float32 `[N]` (1 for a text without tokens).
        """
        ids, lengths = self._tokenize(text)
        inputs = tf.pad(ids, [[0, 0], [1, 0]], constant_values=EOS_ID)[:, :-1]
        log_probabilities = self._reader.target_log_probabilities(inputs, ids, lengths)
        total = tf.reduce_sum(tf.cast(log_probabilities, tf.float64), -1)  # float32 loses digits over a long text
        real = tf.sequence_mask(lengths, tf.shape(ids)[1])
        return {
            "tokens": tf.where(real, self._tokenizer.words_of(ids), ""),
            "token_log_probabilities": log_probabilities,
            "log_probability": tf.cast(total, tf.float32),
            "num_tokens": lengths,
            "perplexity": tf.cast(tf.exp(-total / tf.cast(tf.maximum(lengths, 1), tf.float64)), tf.float32),
        }

    def _next_words(self, text):
        """Signature `serving_default`: the words that the model expects next.

        Args:
            text: string `[N]`; its last line is continued. Of a text of more than `PROMPT_TOKENS` tokens only the last
                ones are read.

        Returns:
            `words` string `[N, 10]` and `probabilities` float32 `[N, 10]`, the model's own, best first. `<unk>` and
            `<eos>` are left out; the probabilities of the others are not scaled up for it. With a vocabulary of fewer
            words the rest is "" and 0.
        """
        hidden, _ = self._read_prompts(text)
        ids, probabilities = self._reader.over_blocks(best_words, hidden)
        missing = [[0, 0], [0, NUM_SUGGESTIONS - ids.shape[1]]]
        return {
            "words": tf.pad(self._tokenizer.words_of(ids), missing),
            "probabilities": tf.pad(probabilities, missing),
        }

    def _generate(self, prompt, max_words, temperature, top_k, top_p, seed):
        """Signature `generate`: continues texts. Each row depends only on its own inputs.

        Args:
            prompt: string `[N]`; its last line is continued; its last `PROMPT_TOKENS` tokens are read.
            max_words: int32 `[N]`, the number of words to write, at most `MAX_WORDS`. Newlines are not counted, but
                after two in a row a word is written, so that the number is always reached.
            temperature, top_k, top_p, seed: `[N]`; see `choose_tokens`.

        Returns:
            `text` string `[N]`, the continuation without the prompt; `<eos>` is a newline, `<unk>` is never written.

        Raises:
            tf.errors.InvalidArgumentError: If a setting is out of its range, or does not have one value a prompt.
        """
        settings = {"max_words": max_words, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        checks = _generation_checks(prompt, **settings)
        with tf.control_dependencies(checks):  # first, so that no other operation fails with a less clear message
            prompt = tf.identity(prompt)
        max_words = tf.minimum(max_words, MAX_WORDS)

        def write_token(step, hidden, state, words, newlines, tokens):
            token = self._reader.over_blocks(
                lambda logits, newlines, *how: choose_tokens(_writable(logits, newlines), *how, step),
                hidden,
                newlines,
                temperature,
                top_k,
                top_p,
                seed,
            )
            writing, is_newline = words < max_words, token == EOS_ID
            tokens = tokens.write(step, tf.where(writing, token, -1))
            words += tf.cast(writing & ~is_newline, tf.int32)
            newlines = tf.where(is_newline, newlines + 1, 0)
            hidden, state = self._reader.step(token, state)
            return step + 1, hidden, state, words, newlines, tokens

        zeros = tf.zeros_like(seed)
        tokens = tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
        tokens = tokens.write(0, zeros - 1)  # so that there is something to stack if `max_words` is 0
        *_, tokens = tf.while_loop(
            lambda step, hidden, state, words, *_: tf.reduce_any(words < max_words),
            write_token,
            (0, *self._read_prompts(prompt), zeros, zeros, tokens),
            parallel_iterations=1,
        )
        return {"text": self._tokenizer.decode(tf.transpose(tokens.stack()))}

    def _step(self, token_ids, state):
        """Signature `step`: one word in constant time.

        Args:
            token_ids: int64 `[N]`, the words that were read or chosen last; at first the id of `<eos>`.
            state: float32 `[N, layers, 2, units]`, h then c; at first zeros.

        Returns:
            `log_probabilities` float32 `[N, V]` of the next word, and the `state` to pass next.

        Raises:
            tf.errors.InvalidArgumentError: If an id is not in the vocabulary, a state is not finite, or there is not
                one state for each id.
        """
        size = self._tokenizer.vocabulary_size
        checks = [
            tf.debugging.assert_equal(
                tf.size(token_ids), tf.shape(state)[0], "step takes one state for each token id."
            ),
            _check((token_ids >= 0) & (token_ids < size), f"token_ids must be from 0 to {size - 1}", token_ids),
            _check(tf.math.is_finite(state), "state must be finite", state),
        ]
        with tf.control_dependencies(checks):
            token_ids, state = tf.identity(token_ids), tf.identity(state)
        hidden, state = self._reader.step(token_ids, state)
        return {"log_probabilities": self._reader.log_probabilities(hidden), "state": state}

    def _read_prompts(self, text):
        """Reads the ends of texts whose last line is open: what predicts the next word, and the state then."""
        ids = tf.cast(self._tokenizer.encode(text, open_last_line=True)[:, -PROMPT_TOKENS:], tf.int32)
        inputs = tf.pad(ids.to_tensor(), [[0, 0], [1, 0]], constant_values=EOS_ID)
        return self._reader.read_to_end(inputs, tf.cast(ids.row_lengths(), tf.int32) + 1)


def _generation_checks(prompt, **settings):
    """Makes tensors to depend on, which fail if a setting of `generate` is out of its range, or has another length."""
    checks = [
        tf.debugging.assert_equal(tf.size(values), tf.size(prompt), f"generate takes one {name} for each prompt.")
        for name, values in settings.items()
    ]
    max_words, temperature, top_k, top_p = (settings[name] for name in ("max_words", "temperature", "top_k", "top_p"))
    finite = tf.math.is_finite(temperature)
    return [
        *checks,
        _check(max_words >= 0, "max_words must be at least 0", max_words),
        _check(finite & (temperature >= 0), "temperature must be finite, 0 or more", temperature),
        _check(top_k >= 0, "top_k must be at least 0 (0 means all words)", top_k),
        _check((top_p >= 0) & (top_p <= 1), "top_p must be from 0 to 1", top_p),
    ]


def _check(valid, message, values):
    """Makes a tensor to depend on, which fails with the message and the values that are not valid."""

    def fail():
        invalid = tf.boolean_mask(values, ~valid)
        with tf.control_dependencies([tf.raw_ops.Assert(condition=False, data=[f"{message}, found", invalid])]):
            return tf.constant(False)

    return tf.cond(tf.reduce_all(valid), lambda: tf.constant(True), fail)  # cheap if all values are valid


def best_words(logits):
    """Finds the most probable words, without the reserved symbols.

    Args:
        logits: float32 `[rows, vocabulary]`.

    Returns:
        (ids int32, probabilities float32), best first, `[rows, 10]` each, or fewer for a smaller vocabulary.
    """
    probabilities = tf.nn.softmax(logits)[:, FIRST_WORD_ID:]
    best = tf.math.top_k(probabilities, min(NUM_SUGGESTIONS, probabilities.shape[1]))
    return best.indices + FIRST_WORD_ID, best.values


def _writable(logits, newlines):
    """Sets the logits of `<unk>` to -inf, and those of `<eos>` after `MAX_NEWLINES` newlines."""
    enough = (newlines >= MAX_NEWLINES)[:, None]
    reserved = [(UNK_ID, tf.ones_like(enough)), (EOS_ID, enough)]
    for token_id, forbidden in reserved:
        logits = tf.where(forbidden & (tf.range(logits.shape[1]) == token_id), -float("inf"), logits)
    return logits
