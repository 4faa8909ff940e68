"""Counts what is in each split, with Beam: a shard a worker, and lines compared by 63-bit hashes in buckets.

The hashes go through files, since a runner may hold what it groups in memory.
"""

import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf

from components import base, beam_pipeline
from components.statistics_gen.counts import LONGEST, Counts
from models.tokenizer import EOS, UNK, Tokenizer

STATISTICS_FILE = "statistics.json"
HASH_BITS = 63  # the widest that TensorFlow's hash-to-bucket operation has
BUCKET_BITS = 6  # lines are compared within 64 buckets, so that one worker holds a 64th of the hashes


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Writes `Split-<s>/statistics.json`.

    Returns:
        Lines and tokens of each split.
    """
    shards = beam_pipeline.list_shards(inputs["examples"])
    settings = parameters.model_dump(include={"tokenizer", "lowercase", "keep_blank_lines"})
    with tempfile.TemporaryDirectory(dir=outputs["statistics"], prefix=".hashes-") as aside:
        with beam_pipeline.pipeline(parameters.beam_args) as root:
            counts = beam_pipeline.read_shards(root, shards) | "Count" >> beam.ParDo(CountShard(settings, aside))
            written = counts | "Written" >> beam.MapTuple(lambda split, number, _: (split, number))
            buckets = root | "Buckets" >> beam.Create(range(2**BUCKET_BITS), reshuffle=True)
            compared = buckets | "Compare" >> beam.Map(compare_lines, aside, beam.pvalue.AsList(written))
            (
                root
                | "Once" >> beam.Create([str(outputs["statistics"])])
                | "Write" >> beam.Map(write_statistics, beam.pvalue.AsList(counts), beam.pvalue.AsList(compared))
            )
    figures = {}
    for split in beam_pipeline.SPLITS:
        statistics = json.loads((outputs["statistics"] / f"Split-{split}" / STATISTICS_FILE).read_text())
        figures |= {f"{split}_{name}": statistics[name] for name in ("lines", "tokens")}
    return figures


class CountShard(beam.DoFn):
    """Counts one shard: gives `(split, number, Counts)`, and writes its lines' hashes, sorted.

    Args:
        settings: Arguments of the tokenizer.
        aside: Folder for the hashes.
    """

    def __init__(self, settings: dict[str, Any], aside: str):
        self._settings = settings
        self._aside = aside

    def setup(self) -> None:
        self._tokenizer = Tokenizer(**self._settings)
        self._count_words = tf.function(self._count, input_signature=[tf.TensorSpec([None], tf.string)])
        self._hash_lines = tf.function(hash_lines, input_signature=[tf.TensorSpec([None], tf.string)])

    def _count(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Tokens, `<unk>` tokens, and the number of words of each line."""
        words = self._tokenizer.words(texts).flat_values
        ends = tf.where(words == EOS)[:, 0]
        return tf.size(words), tf.math.count_nonzero(words == UNK), ends - tf.concat([[-1], ends[:-1]], 0) - 1

    def process(self, shard: beam_pipeline.Shard) -> Iterator[tuple[str, int, Counts]]:
        total = Counts()
        hashes = []
        for batch in beam_pipeline.read_batches(shard):
            for example in batch:
                total.add_example(example.document, example.text)
            texts = tf.constant([example.text for example in batch])
            tokens, unknown, lengths = (value.numpy() for value in self._count_words(texts))
            total.tokens += int(tokens)
            total.unknown += int(unknown)
            total.lengths += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)
            line_hashes, blank = (value.numpy() for value in self._hash_lines(texts))
            total.blank_lines += int(blank)
            hashes.append(line_hashes)
        # The order of lines does not matter here: sorted, each bucket is a range.
        np.sort(np.concatenate([np.empty(0, np.int64), *hashes])).tofile(
            hashes_file(self._aside, shard.split, shard.number)
        )
        yield shard.split, shard.number, total


def hashes_file(aside: str, split: str, number: int) -> Path:
    """The file of a shard's hashes, int64."""
    return Path(aside) / f"{split}-{number:05d}"


def hash_lines(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Hashes of all lines that are not blank, int64 `[lines]`, and the number of those that are."""
    texts = tf.strings.regex_replace(texts, r"\r\n?", "\n")
    texts = tf.strings.regex_replace(texts, r"\n\z", "")
    texts = tf.boolean_mask(texts, tf.strings.length(texts) > 0)
    lines = tf.strings.strip(tf.strings.split(texts, "\n").flat_values)
    filled = tf.boolean_mask(lines, tf.strings.length(lines) > 0)
    return tf.strings.to_hash_bucket_fast(filled, 2**HASH_BITS - 1), tf.size(lines) - tf.size(filled)


def compare_lines(bucket: int, aside: str, written: list[tuple[str, int]]) -> dict[str, dict[str, int]]:
    """Compares a bucket's lines, by split: all of them, those seen before in the split, and those seen in train."""
    parts = {split: [np.empty(0, np.int64)] for split in beam_pipeline.SPLITS}
    for split, number in written:
        parts[split].append(read_bucket(hashes_file(aside, split, number), bucket))
    lines = {split: np.concatenate(part) for split, part in parts.items()}
    distinct_train = np.unique(lines["train"])
    return {
        split: {
            "filled": len(found),
            "duplicated": len(found) - len(np.unique(found)),
            "in_train": int(np.isin(found, distinct_train).sum()),
        }
        for split, found in lines.items()
    }


def read_bucket(path: Path, bucket: int) -> np.ndarray:
    """The hashes of a file whose highest bits are `bucket`."""
    if not path.stat().st_size:
        return np.empty(0, np.int64)  # nothing cannot be mapped
    hashes = np.memmap(path, np.int64, mode="r")
    width = HASH_BITS - BUCKET_BITS
    start = np.searchsorted(hashes, bucket << width)
    stop = np.searchsorted(hashes, ((bucket + 1) << width) - 1, side="right")  # the last bucket ends at int64's end
    return np.array(hashes[start:stop])


def write_statistics(folder: str, counts: list[tuple[str, int, Counts]], compared: list[dict]) -> None:
    """Adds up each split's shards in order and writes its JSON."""
    for split in beam_pipeline.SPLITS:
        ordered = sorted((number, count) for name, number, count in counts if name == split)
        total = functools.reduce(Counts.__add__, (count for _, count in ordered), Counts())
        filled, duplicated, in_train = (
            sum(bucket[split][key] for bucket in compared) for key in ("filled", "duplicated", "in_train")
        )
        statistics = {"split": split, **total.summary()}
        statistics["duplicated_lines"] = duplicated
        statistics["duplicated_share"] = duplicated / max(1, filled)
        if split != "train":
            statistics["overlap_with_train"] = {"lines": in_train, "share": in_train / max(1, filled)}
        path = Path(folder) / f"Split-{split}" / STATISTICS_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(statistics, indent=2) + "\n")
