"""Windows of token ids for `fit` and `evaluate`: lanes of a stream, cut into steps of back-propagation, by tf.data."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from models.text.token_stream import Lanes, TokenStream
from models.text.tokenizer import EOS_ID

BLOCK_IDS = 65_536  # ids of an array that are read at a time


def windows(
    tokens: TokenStream | np.ndarray | Sequence[int], batch_size: int, sequence_length: int, start: int = 0
) -> tf.data.Dataset:
    """Makes a data set of windows that `LanguageModel.fit`, `evaluate` and `predict` take.

    The stream is read as `batch_size` lanes of equal length, side by side: lane b holds the `len(tokens) // batch_size`
    tokens from `b * (len(tokens) // batch_size)` on. Each of them is a target once; a lane's first input is the token
    before it in the stream, `<eos>` before the stream's first one. The fewer than `batch_size` tokens left over are not
    read. One lane reads everything.

    The windows are a pure function of the arguments: nothing is shuffled, so a data set can start anywhere. Shards are
    read by one reader a lane, so memory does not depend on the size of the stream.

    Args:
        tokens: A `TokenStream`, or a 1-D array (or list) of integer ids.
        batch_size: Number of lanes. Under a `tf.distribute` strategy it is the global batch.
        sequence_length: Tokens of a lane in one window: the steps of truncated back-propagation.
        start: Index of the first window. A data set that does not start at window 0 continues with the state that the
            model carries.

    Returns:
        A `tf.data.Dataset` of `(inputs, targets, sample_weight)`. `inputs` is a dict of int32 `token_ids`
        `[batch_size, sequence_length]`, `lane` `[batch_size]` and `window` `[batch_size]` (its index from 0); `targets`
        are int32 `[batch_size, sequence_length]`; `sample_weight` is float32 of the same shape: 1, or 0 after the end
        of a lane, where the last window is padded with id 0. Its attributes `tokens` and `start` are
        the arguments; `of_lanes(first, number)` is the data set of some of its rows.

    Raises:
        TypeError: If `tokens` is neither a `TokenStream` nor integers, or a number is no integer.
        ValueError: If `tokens` is not 1-D, or has fewer tokens than one window of every lane, or a number is out of
            its range.

    Example:

    >>> for inputs, targets, weights in windows([5, 6, 7, 8, 9, 2, 3, 4], batch_size=2, sequence_length=3):
    ...     print(inputs["token_ids"].numpy().tolist(), targets.numpy().tolist(), weights.numpy().tolist())
    [[1, 5, 6], [8, 9, 2]] [[5, 6, 7], [9, 2, 3]] [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    [[7, 0, 0], [3, 0, 0]] [[8, 0, 0], [4, 0, 0]] [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("sequence_length", sequence_length, 1),
        ("start", start, 0),
    ):
        _check_number(name, value, least)
    read = _readable(tokens)
    size = len(tokens)
    if size < batch_size * sequence_length:
        raise ValueError(
            f"tokens: found {size:,} tokens, expected at least one window of every lane: batch_size {batch_size} x "
            f"sequence_length {sequence_length} = {batch_size * sequence_length:,}. Use more text, a smaller "
            "batch_size or a shorter sequence_length."
        )
    lanes = Lanes(tokens, batch_size)
    count = lanes.num_windows(sequence_length)
    if start >= count:
        raise ValueError(f"start: found {start}, expected less than the number of windows, {count}.")

    def of_lanes(first: int, number: int) -> tf.data.Dataset:
        return _of_lanes(read, lanes, range(first, first + number), sequence_length, start)

    data = of_lanes(0, batch_size)
    data.tokens, data.start, data.of_lanes = tokens, start, of_lanes
    return data


def _check_number(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: found {value!r}, expected a whole number.")
    if value < least:
        raise ValueError(f"{name}: found {value}, expected at least {least}.")


def _of_lanes(
    read: Callable[[tf.Tensor], tf.data.Dataset], lanes: Lanes, chosen: range, sequence_length: int, start: int
) -> tf.data.Dataset:
    """Makes a data set of the windows from `start` on, of the chosen lanes alone; no other lane is read.

    Args:
        read: A function from a position in the stream to a data set of the tokens from there on.
        lanes: How the stream is cut.
        chosen: Indices of the lanes that become rows.
        sequence_length: Tokens of a lane in one window.
        start: Index of the first window.
    """
    count, rows = lanes.num_windows(sequence_length), len(chosen)

    def lane_blocks(lane: tf.Tensor) -> tf.data.Dataset:
        """Ids [sequence_length] of a lane from the token before its first target on, one block more than windows."""
        first = lanes.position(lane, start * sequence_length)
        eos = tf.data.Dataset.from_tensors([EOS_ID]).take(tf.cast(first == 0, tf.int64))
        padding = tf.data.Dataset.from_tensors(tf.zeros([2 * sequence_length], tf.int32))
        blocks = eos.concatenate(read(tf.maximum(first - 1, 0))).concatenate(padding)
        blocks = blocks.rebatch(sequence_length, drop_remainder=True)
        return blocks.take(count + 1 - start)

    def with_next(before: tf.Tensor, block: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        return block, (before, tf.concat([before[:, 1:], block[:, :1]], axis=1))

    def window(index: tf.Tensor, block: tuple[tf.Tensor, tf.Tensor]) -> tuple[Any, tf.Tensor, tf.Tensor]:
        inputs, targets = block
        index = tf.cast(index, tf.int32) + start
        # In 64 bits: a single lane may have more than 2**31 tokens.
        place = tf.cast(index, tf.int64) * sequence_length + tf.range(sequence_length, dtype=tf.int64)
        inside = place < lanes.lane_length
        inputs, targets = tf.where(inside, inputs, 0), tf.where(inside, targets, 0)
        places = {"lane": chosen.start + tf.range(rows), "window": tf.fill([rows], index)}
        weights = tf.broadcast_to(tf.cast(inside, tf.float32), [rows, sequence_length])
        return {"token_ids": inputs, **places}, targets, weights

    data = tf.data.Dataset.range(chosen.start, chosen.stop)
    # One reader for each lane, read in turn. All are equally long, so rows keep the order of the lanes to the end.
    data = data.interleave(lane_blocks, cycle_length=rows, block_length=1, num_parallel_calls=None)
    data = data.batch(rows, drop_remainder=True)
    data = data.scan(tf.zeros([rows, sequence_length], tf.int32), with_next).skip(1)
    data = data.enumerate().map(window)
    data = data.apply(tf.data.experimental.assert_cardinality(count - start))
    return data.prefetch(2).with_options(_options())


def _readable(tokens: Any) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Makes a function from a position (int64 scalar tensor) to a data set of int32 blocks, the tokens from there."""
    if isinstance(tokens, TokenStream):
        return tokens.blocks
    array = np.asarray(tokens)
    if array.size and array.dtype.kind not in "iu":
        kind = type(tokens).__name__ if array.ndim == 0 else f"{array.dtype} values"
        raise TypeError(f"tokens: found {kind}, expected integer ids or a TokenStream.")
    if array.ndim != 1:
        raise ValueError(f"tokens: found an array of shape {list(array.shape)}, expected a 1-D array of ids.")
    ids = tf.constant(array.astype(np.int32))

    def blocks(position: tf.Tensor) -> tf.data.Dataset:
        starts = tf.data.Dataset.range(position, array.size, BLOCK_IDS)
        return starts.map(lambda first: ids[first : first + BLOCK_IDS])

    return blocks


def _options() -> tf.data.Options:
    """One thread and no autotuning: more threads took 5% of two cores from the step, and read no faster."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.deterministic = True
    # The replicas divide the lanes among them, not the files.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
