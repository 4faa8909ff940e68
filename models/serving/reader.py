"""Reads texts of any length through a language model, window by window, in bounded memory."""

import tensorflow as tf

WINDOW_TOKENS = 4096  # tokens of a window, over all its rows: bounds the hidden states held at once
BLOCK_LOGITS = 2**23  # logits held at once (32 MiB of float32)
SMALLEST_PROBABILITY = 1e-30  # smaller ones are not taken from the softmax: float32 loses digits below 1e-38


class WindowedReader:
    """Carries a model's state through padded rows of token ids.

    Rows may differ in length, and the result of each does not depend on the others: nothing is read for a row after its
    end. For this the rows are sorted by length (descending), so that those still being read are always the first ones.

    Args:
        model: A `LanguageModel`, or its `ExportedWeights`.
    """

    def __init__(self, model):
        self._model = model

    def target_log_probabilities(self, inputs, targets, lengths):
        """Computes the log-probability of each target, given the tokens before it, from the zero state.

        Args:
            inputs: int32 `[rows, time]`, the token before each target.
            targets: int32 `[rows, time]`.
            lengths: int32 `[rows]`, the number of targets in each row; the longest is `time`.

        Returns:
            Natural logarithms, float32 `[rows, time]`, 0 in the padding.
        """
        order, original_order = _longest_first(lengths)
        inputs, targets, lengths = (tf.gather(x, order) for x in (inputs, targets, lengths))
        rows, time = tf.unstack(tf.shape(inputs))

        def read_window(start, state, columns):
            live = _count(lengths > start)
            stop = tf.minimum(start + _window_length(live), time)
            hidden, ahead = self._model.hidden_states(inputs[:live, start:stop], state[:live])
            read = tf.sequence_mask(lengths - start, stop - start)  # [rows, window]
            values = self.over_blocks(
                _pick_log_probabilities,
                tf.boolean_mask(hidden, read[:live]),
                tf.boolean_mask(targets[:, start:stop], read),
            )
            window = tf.scatter_nd(tf.where(read), values, tf.cast([rows, stop - start], tf.int64))
            return stop, _replace_first(state, ahead), columns.write(columns.size(), tf.transpose(window))

        columns = tf.TensorArray(tf.float32, 0, dynamic_size=True, infer_shape=False, element_shape=[None, None])
        columns = columns.write(0, tf.zeros([0, rows]))  # so that there is something to join if nothing is read
        *_, columns = tf.while_loop(
            lambda start, *_: start < _longest(lengths),
            read_window,
            (0, self._model.zero_state(rows), columns),
            parallel_iterations=1,
        )
        return tf.gather(tf.transpose(columns.concat()), original_order)

    def target_ranks(self, inputs, targets, state):
        """Computes log-probabilities of one window without padding, and each target's rank among all words.

        Args:
            inputs: int32 `[rows, time]`, the token before each target.
            targets: int32 `[rows, time]`.
            state: float32 `[rows, layers, 2, units]`, before the window.

        Returns:
            Log-probabilities float32 `[rows, time]`, the number of words that are strictly more probable than the
            target, int32 `[rows, time]`, the most probable word's probability, float32 `[rows, time]`, and the state
            after the window.
        """
        hidden, state = self._model.hidden_states(inputs, state)
        flat = tf.reshape(hidden, [-1, self._model.embedding_units])
        figures = self.over_blocks(_rank_targets, flat, tf.reshape(targets, [-1]))
        return *(tf.reshape(figure, tf.shape(targets)) for figure in figures), state

    def read_to_end(self, inputs, lengths):
        """Reads each row from the zero state to its own end.

        Windows are cut at the end of each row, so that the state there is known.

        Args:
            inputs: int32 `[rows, time]`.
            lengths: int32 `[rows]`, each at least 1.

        Returns:
            What predicts each row's next token, float32 `[rows, embedding_units]`, and the state after the
            row's last token, float32 `[rows, layers, 2, units]`.
        """
        order, original_order = _longest_first(lengths)
        inputs, lengths = tf.gather(inputs, order), tf.gather(lengths, order)
        rows = tf.size(lengths)

        def read_window(start, hidden, state):
            live = _count(lengths > start)
            stop = tf.minimum(start + _window_length(live), tf.reduce_min(lengths[:live]))
            outputs, ahead = self._model.hidden_states(inputs[:live, start:stop], state[:live])
            return stop, _replace_first(hidden, outputs[:, -1]), _replace_first(state, ahead)

        # The first window is read outside the loop: most texts need no other, and a loop takes time.
        first = read_window(0, tf.zeros([rows, self._model.embedding_units]), self._model.zero_state(rows))
        _, hidden, state = tf.while_loop(
            lambda start, *_: start < _longest(lengths), read_window, first, parallel_iterations=1
        )
        return tf.gather(hidden, original_order), tf.gather(state, original_order)

    def over_blocks(self, function, hidden, *others):
        """Applies `function(logits, *others)` to blocks of rows, so that few logits are held at once.

        Args:
            function: Takes float32 logits `[block, vocabulary]` and the same rows of `others`; returns tensors
                `[block, ...]`.
            hidden: float32 `[rows, embedding_units]`, the hidden states that the logits are computed from.
            *others: Tensors `[rows, ...]`.

        Returns:
            The function's results for all rows, `[rows, ...]`, in the function's structure.
        """
        rows = tf.shape(hidden)[0]
        block = max(1, BLOCK_LOGITS // self._model.vocabulary_size)

        def results(start):
            logits = self._model.logits(hidden[start : start + block])
            return function(logits, *(x[start : start + block] for x in others))

        def append(start, joined):
            return start + block, tf.nest.map_structure(lambda *x: tf.concat(x, 0), joined, results(start))

        first = results(0)  # has the right shape even if there are no rows
        shapes = tf.nest.map_structure(lambda x: tf.TensorShape([None, *x.shape[1:]]), first)
        _, joined = tf.while_loop(
            lambda start, _: start < rows,
            append,
            (block, first),
            shape_invariants=(tf.TensorShape([]), shapes),
            parallel_iterations=1,
        )
        return joined

    def step(self, token_ids, state):
        """Reads one token in each row.

        Args:
            token_ids: int `[rows]`.
            state: float32 `[rows, layers, 2, units]`, before the token.

        Returns:
            (what predicts the next token, float32 `[rows, embedding_units]`; the next state).
        """
        hidden, state = self._model.hidden_states(token_ids[:, None], state)
        return hidden[:, 0], state

    def log_probabilities(self, hidden):
        """Computes the log-probability of every word as the next one.

        Args:
            hidden: float32 `[rows, embedding_units]`.

        Returns:
            float32 `[rows, vocabulary]`.
        """
        return tf.nn.log_softmax(self._model.logits(hidden))


def _pick_log_probabilities(logits, targets):
    return _log_of(targets, tf.nn.softmax(logits), logits)


def _rank_targets(logits, targets):
    probabilities = tf.nn.softmax(logits)
    of_target = tf.gather(logits, targets, batch_dims=1)
    rank = tf.reduce_sum(tf.cast(logits > of_target[:, None], tf.int32), -1)
    return _log_of(targets, probabilities, logits), rank, tf.reduce_max(probabilities, -1)


def _log_of(targets, probabilities, logits):
    """The targets' log-probabilities, taken from the softmax so that no other operation needs a pass over the logits.

    If a target's probability is too small for float32, log(sum(exp(z))) is computed from the most probable word: its
    probability is 1 / sum(exp(z - max z)), at least 1 / vocabulary.
    """
    of_target = tf.gather(probabilities, targets, batch_dims=1)

    def through_the_most_probable():
        log_sums = tf.reduce_max(logits, -1) - tf.math.log(tf.reduce_max(probabilities, -1))
        return tf.gather(logits, targets, batch_dims=1) - log_sums

    lost = tf.reduce_any(of_target < SMALLEST_PROBABILITY)
    return tf.cond(lost, through_the_most_probable, lambda: tf.math.log(of_target))


def _longest_first(lengths):
    order = tf.argsort(lengths, direction="DESCENDING", stable=True)
    return order, tf.math.invert_permutation(order)


def _longest(lengths):
    return tf.reduce_max(tf.concat([lengths, [0]], 0))  # 0 if there are no rows


def _count(condition):
    return tf.reduce_sum(tf.cast(condition, tf.int32))


def _window_length(live):
    return tf.maximum(1, WINDOW_TOKENS // tf.maximum(1, live))


def _replace_first(values, first):
    return tf.concat([first, values[tf.shape(first)[0] :]], 0)
