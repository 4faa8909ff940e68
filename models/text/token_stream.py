"""Token ids on disk, in the corpus's order: written by Transform, read by training and evaluation.

A split's folder holds TFRecord shards, whose records are raw little-endian int32 ids, and `index.json`:

    {"format": 1, "num_tokens": 929589, "shards": [{"file": "tokens-00000-of-00012", "records": [40112, ...]}, ...]}

The index has every record's length, and a TFRecord frames a record with 12 bytes before and 4 bytes after it. So every
token's place in its file is known: readers map the files into memory and read only what they use.
"""

import json
import os
import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from models import files
from models.text.tokenizer import EOS_ID

FORMAT = 1
INDEX_FILE = "index.json"
ID_TYPE = np.dtype("<i4")
HEADER_IDS = 3  # a record's length (8 bytes) and the length's checksum (4 bytes), counted in ids of 4 bytes
FOOTER_IDS = 1  # the record's checksum (4 bytes)
READ_BUFFER = 65_536  # bytes of a shard that tf.data reads at once, for every lane

Position = TypeVar("Position", int, tf.Tensor)  # in tokens; a tensor where tf.data reads


class TokenWriter:
    """Writes one shard of token ids; a context manager.

    Args:
        path: The shard's file, which must not exist yet.

    Attributes:
        path: The shard's file.
        counts: Tokens of each record written so far, in order: what the index keeps.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.counts: list[int] = []
        self._writer = tf.io.TFRecordWriter(str(self.path))

    def write(self, token_ids: np.ndarray) -> None:
        """Appends token ids as one record.

        Args:
            token_ids: Integers `[n]`. An empty array writes nothing.
        """
        if token_ids.size:
            self._writer.write(np.ascontiguousarray(token_ids, ID_TYPE).tobytes())
            self.counts.append(int(token_ids.size))

    def __enter__(self) -> "TokenWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()


def write_index(split_dir: str | Path, shards: Sequence[tuple[str, Sequence[int]]]) -> int:
    """Writes a split's `index.json`, completely or not at all.

    Args:
        split_dir: The split's folder.
        shards: File name and tokens of each record (`TokenWriter.counts`), one pair for each shard, in the corpus's
            order.

    Returns:
        The split's number of tokens.
    """
    num_tokens = sum(sum(records) for _, records in shards)
    index = {
        "format": FORMAT,
        "num_tokens": num_tokens,
        "shards": [{"file": file, "records": list(records)} for file, records in shards],
    }
    files.write_text(Path(split_dir) / INDEX_FILE, json.dumps(index) + "\n")
    return num_tokens


class TokenStream:
    """A split's token ids as one long sequence: `len(stream)` tokens, `stream[a:b]` as int32 `[b - a]`.

    Args:
        split_dir: A split's folder, for example `.../transformed_examples/7/Split-train`.

    Attributes:
        split_dir: The split's folder.

    Raises:
        ValueError: If the folder has no index, or the index and the shards disagree.
    """

    def __init__(self, split_dir: str | Path):
        self.split_dir = Path(split_dir)
        index = self._read_index()
        self._files = [entry["file"] for entry in index["shards"]]
        self._shards: list[np.ndarray] = []  # every shard's bytes as ids, with headers and footers
        shard_of, offset_of, counts = [], [], []  # of each record, in order
        for shard, entry in enumerate(index["shards"]):
            records = np.asarray(entry["records"], np.int64)
            self._shards.append(self._map(self.split_dir / entry["file"], records))
            ends = np.cumsum(records + HEADER_IDS + FOOTER_IDS)
            shard_of.append(np.full(len(records), shard))
            offset_of.append(ends - FOOTER_IDS - records)
            counts.append(records)
        self._shard_of = np.concatenate([[], *shard_of]).astype(np.int64)
        self._offset_of = np.concatenate([[], *offset_of]).astype(np.int64)
        self._starts = np.concatenate([[0], *counts]).astype(np.int64).cumsum()  # of each record, and the end
        if self._starts[-1] != index["num_tokens"]:
            raise ValueError(
                f"{self.split_dir / INDEX_FILE}: found num_tokens {index['num_tokens']:,}, expected the sum of its "
                f"records, {self._starts[-1]:,}. Run Transform again (--no-cache)."
            )

    def _read_index(self) -> dict[str, Any]:
        path = self.split_dir / INDEX_FILE
        try:
            index = json.loads(path.read_text())
        except FileNotFoundError:
            raise ValueError(
                f"{self.split_dir} has no {INDEX_FILE}. Expected the folder of a split that Transform wrote."
            ) from None
        except (ValueError, RecursionError) as error:  # not JSON, or not even text
            raise ValueError(f"{path} is not JSON ({error}). Run Transform again (--no-cache).") from None
        if not isinstance(index, dict) or index.get("format") != FORMAT:
            version = index.get("format") if isinstance(index, dict) else index
            raise ValueError(
                f"{path} has format {reprlib.repr(version)}, expected format {FORMAT}. Run Transform again "
                "(--no-cache)."
            )
        if not _is_index(index):
            raise ValueError(f"{path} is damaged: expected the file and the tokens of each record of every shard. "
                             "Run Transform again (--no-cache).")  # fmt: skip
        return index

    @staticmethod
    def _map(path: Path, records: np.ndarray) -> np.ndarray:
        expected = int((records + HEADER_IDS + FOOTER_IDS).sum()) * ID_TYPE.itemsize
        # `os.path.isfile` is false, and does not raise, for a name that is too long for the file system.
        size = os.path.getsize(path) if os.path.isfile(path) else None
        if size != expected:
            state = "is missing" if size is None else f"has {size:,} bytes"
            raise ValueError(
                f"{path} {state}; the index expects {expected:,} bytes ({records.sum():,} tokens in {len(records):,} "
                "records). Run Transform again (--no-cache)."
            )
        return np.memmap(path, ID_TYPE, mode="r") if expected else np.empty(0, ID_TYPE)  # an empty file has no map

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, key: slice) -> np.ndarray:
        """The tokens of a slice of step 1, as a new int32 array."""
        if not isinstance(key, slice):
            raise TypeError(f"A TokenStream is read by slices, not by {key!r}.")
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise ValueError(f"A TokenStream is read in steps of 1, not {step}.")
        parts = []
        record = int(np.searchsorted(self._starts, start, side="right")) - 1
        while start < stop:
            count = min(stop, int(self._starts[record + 1])) - start
            offset = int(self._offset_of[record]) + start - int(self._starts[record])
            parts.append(self._shards[self._shard_of[record]][offset : offset + count])
            start += count
            record += 1
        return np.concatenate([np.empty(0, np.int32), *parts], dtype=np.int32)

    def blocks(self, position: tf.Tensor) -> tf.data.Dataset:
        """Makes a data set of the tokens from a position on, read from the shards by tf.data.

        Args:
            position: int64 scalar tensor, counted in tokens from the stream's beginning.

        Returns:
            A data set of int32 blocks `[n]`, in order, one for each record (the first may be a record's end).
        """
        record = tf.searchsorted(self._starts, [position], side="right")[0] - 1
        shard = tf.gather(self._shard_of, record)
        first_records = np.searchsorted(self._shard_of, np.arange(len(self._shards)))
        paths = tf.constant([str(self.split_dir / name) for name in self._files])
        records = tf.data.TFRecordDataset(paths[shard:], buffer_size=READ_BUFFER)
        records = records.skip(tf.cast(record, tf.int64) - tf.gather(first_records, shard))
        skipped = position - tf.gather(self._starts, record)

        def ids(index: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
            return tf.io.decode_raw(data, tf.int32)[tf.where(index == 0, skipped, 0) :]

        return records.enumerate().map(ids)


def _is_index(index: dict[str, Any]) -> bool:
    """Whether an index has the keys that reading needs, each with a value of its type."""

    def is_count(value: Any) -> bool:
        return isinstance(value, int) and 0 <= value < 2**40  # a sum of larger numbers might not fit in 64 bits

    shards = index.get("shards")
    return (
        is_count(index.get("num_tokens"))
        and isinstance(shards, list)
        and all(isinstance(shard, dict) and isinstance(shard.get("file"), str) for shard in shards)
        and all(isinstance(shard.get("records"), list) and all(map(is_count, shard["records"])) for shard in shards)
        and all(shard["file"] == Path(shard["file"]).name for shard in shards)  # in the index's own folder only
    )


class Lanes:
    """How a stream is read as `batch_size` lanes of equal length, side by side.

    Lane b holds the tokens `stream[b * lane_length : (b + 1) * lane_length]`. Each of them is a target once; a lane's
    first input is the token before it in the stream, `<eos>` before the stream's first token. One lane reads all.
    `models.windows` makes tf.data windows of the same lanes.

    Args:
        stream: The split's tokens: a `TokenStream`, or an array of ids.
        batch_size: Number of lanes.

    Attributes:
        stream: The split's tokens.
        batch_size: Number of lanes.
        lane_length: Tokens of each lane.
        left_over: Tokens at the stream's end, fewer than `batch_size`, that are in no lane.

    Raises:
        ValueError: If `batch_size` is not positive or there are fewer tokens than lanes.
    """

    def __init__(self, stream: TokenStream | np.ndarray | Sequence[int], batch_size: int):
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; at least 1 lane is needed.")
        if len(stream) < batch_size:
            raise ValueError(
                f"{getattr(stream, 'split_dir', 'The text')} has {len(stream):,} tokens, fewer than one for each of "
                f"{batch_size} lanes (batch_size). Use more text or a smaller batch."
            )
        self.stream = stream
        self.batch_size = batch_size
        self.lane_length, self.left_over = divmod(len(stream), batch_size)

    def num_windows(self, sequence_length: int) -> int:
        """Counts the windows of a lane.

        Args:
            sequence_length: Steps of a window; the last window may be shorter.

        Returns:
            The number of windows.
        """
        return -(-self.lane_length // sequence_length)

    def position(self, lane: Position, step: int) -> Position:
        """Finds where a target is in the stream; its input is the token before it.

        Args:
            lane: Index of the lane, an integer or an int64 scalar tensor.
            step: The target's place in the lane, from 0.

        Returns:
            The position in tokens from the stream's beginning, of the type of `lane`.
        """
        return lane * self.lane_length + step

    def window(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Reads inputs and targets of the steps `start` to `start + length` of every lane.

        Args:
            start: The window's first step, in tokens from the lane's beginning.
            length: Steps; fewer are returned where the lane ends.

        Returns:
            inputs, targets: int32 `[batch_size, length]` each.

        Raises:
            ValueError: If `start` is not inside the lanes, or `length` is less than 1.
        """
        length = min(length, self.lane_length - start)
        if start < 0 or length < 1:
            raise ValueError(f"A window at step {start:,} is outside the lanes of {self.lane_length:,} tokens.")
        tokens = np.empty((self.batch_size, length + 1), np.int32)
        for lane in range(self.batch_size):
            first = self.position(lane, start)
            if first:
                tokens[lane] = self.stream[first - 1 : first + length]
            else:
                tokens[lane] = np.concatenate([[EOS_ID], self.stream[:length]])
        return tokens[:, :-1], tokens[:, 1:]
