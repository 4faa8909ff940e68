"""Counts the contents of each split with Beam, and compares lines by 63-bit hashes in buckets.

The hashes are passed through files, because a runner may hold what it groups in memory.
"""

import collections
import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf

from components import base, beam_pipeline
from components.artifacts import frequent_words
from components.artifacts.examples import ExamplesShard, list_shards, read_batches
from components.artifacts.splits import SPLITS, split_dir
from components.artifacts.statistics import SOURCES, STATISTICS
from components.statistics_gen.counts import CODES, LONGEST, Counts, add_codes, count_scripts
from components.text_bytes import EXCERPT, printable
from models.settings import TokenizerSettings
from models.text.tokenizer import EOS, UNK, Tokenizer

HASH_BITS = 63  # the largest number that TensorFlow's hash-to-bucket operation supports
BUCKET_BITS = 6  # lines are compared within 64 buckets, so that one worker holds a 64th of the hashes
EXAMPLES = 3  # number of lines shared with train that are shown
MAX_SHARED = 1000  # number of shared lines from which the longest are chosen


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Counts the contents of each split.

    Args:
        inputs: `examples`; their `sources.json` is copied if there is one.
        outputs: `statistics` receives `Split-<s>/statistics.json`, `Split-train/words.tsv` and, if ExampleGen wrote
            one, `sources.json`.
        parameters: The tokenizer's settings and Beam's options.
        context: Not used.

    Returns:
        `<split>_lines` and `<split>_tokens` of each split.

    Raises:
        ComponentError: If shards are missing or damaged.
    """
    shards = list_shards(inputs["examples"])
    settings = parameters.model_dump(include=set(TokenizerSettings.model_fields))
    with tempfile.TemporaryDirectory(dir=outputs["statistics"], prefix=".hashes-") as aside:
        counts, compared = Path(aside, "counts"), Path(aside, "compared")
        counts.mkdir()
        compared.mkdir()
        with beam_pipeline.open_pipeline(parameters.beam_args) as root:
            counted = beam_pipeline.read_shards(root, shards) | "Count" >> beam.ParDo(CountShard(settings, aside))
            named = counted | "Name" >> beam.Map(
                lambda count: (f"{count[0]}-{count[1]:05d}", (*count[:2], count[2].to_json()))
            )
            beam_pipeline.keep(named, counts)
        with beam_pipeline.open_pipeline(parameters.beam_args) as root:
            buckets = root | "Buckets" >> beam.Create(range(2**BUCKET_BITS), reshuffle=True)
            results = buckets | "Compare" >> beam.Map(
                lambda bucket: (f"{bucket:05d}", compare_lines(bucket, aside, shards))
            )
            beam_pipeline.keep(results, compared)
        with beam_pipeline.open_pipeline(parameters.beam_args) as root:
            folder = root | "Once" >> beam.Create([str(outputs["statistics"])])
            _ = folder | "Write" >> beam.Map(write_statistics, aside, settings, shards, str(counts), str(compared))
    if SOURCES.is_in(inputs["examples"]):
        SOURCES.write(outputs["statistics"], SOURCES.read(inputs["examples"]))
    figures = {}
    for split in SPLITS:
        statistics = STATISTICS.read(split_dir(outputs["statistics"], split))
        figures |= {f"{split}_{name}": statistics[name] for name in ("lines", "tokens")}
    return figures


class CountShard(beam.DoFn):
    """Counts one shard, and writes the sorted hashes of its lines and the train split's frequent words.

    Args:
        settings: Arguments of the tokenizer.
        aside: Folder for the hashes and words.
    """

    def __init__(self, settings: dict[str, Any], aside: str):
        self._settings = settings
        self._aside = aside

    def setup(self) -> None:
        """Creates the tokenizer and the TensorFlow functions, once for each worker."""
        self._tokenizer = Tokenizer(**self._settings)
        self._count_words = tf.function(self._count, input_signature=[tf.TensorSpec([None], tf.string)])
        self._hash_lines = tf.function(hash_lines, input_signature=[tf.TensorSpec([None], tf.string)])

    def _count(self, texts: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the distinct tokens, their numbers of occurrences, and the number of words of each line."""
        tokens = self._tokenizer.words(texts).flat_values
        ends = tf.where(tokens == EOS)[:, 0]
        distinct, _, occurrences = tf.unique_with_counts(tokens)
        return distinct, occurrences, ends - tf.concat([[-1], ends[:-1]], 0) - 1

    def process(self, shard: ExamplesShard) -> Iterator[tuple[str, int, Counts]]:
        """Counts a shard and yields its split, its number and its `Counts`."""
        total = Counts()
        hashes, codes = [], np.zeros(CODES, np.int64)
        frequent: collections.Counter[bytes] = collections.Counter()
        for batch in read_batches(shard):
            for example in batch:
                total.add_example(example.document, example.text, example.position)
                add_codes(codes, example.text)
            texts = tf.constant([example.text for example in batch])
            distinct, occurrences, lengths = (value.numpy() for value in self._count_words(texts))
            counts = dict(zip(distinct.tolist(), occurrences.tolist(), strict=True))
            total.tokens += int(occurrences.sum())
            total.unknown += counts.get(UNK.encode(), 0)
            if shard.split == "train":
                frequent.update(counts)
            total.lengths += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)
            line_hashes, blank = (value.numpy() for value in self._hash_lines(texts))
            total.blank_lines += int(blank)
            hashes.append(line_hashes)
        # The hashes are sorted so that each bucket is a range of the file.
        with beam_pipeline.writing_aside(hashes_file(self._aside, shard.split, shard.number)) as file:
            np.sort(np.concatenate([np.empty(0, np.int64), *hashes])).tofile(file)
        total.scripts = count_scripts(codes)
        if shard.split == "train":
            del frequent[EOS.encode()]
            with beam_pipeline.writing_aside(words_file(self._aside, shard.number)) as file:
                frequent_words.write(file, frequent)
        yield shard.split, shard.number, total


def hashes_file(aside: str, split: str, number: int) -> Path:
    """Returns the file of the hashes of shard `number` of a `split`, below the folder `aside`.

    Args:
        aside: The temporary folder of the hashes.
        split: The split.
        number: The shard's number.
    """
    return Path(aside) / f"{split}-{number:05d}"


def words_file(aside: str, number: int) -> Path:
    """Returns the file of the frequent words of train's shard `number`, below the folder `aside`.

    Args:
        aside: The temporary folder of the hashes.
        number: The shard's number.
    """
    return Path(aside) / f"words-{number:05d}"


def hash_lines(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Hashes the lines that are not blank.

    Args:
        texts: string `[texts]`, each of whole lines.

    Returns:
        The hashes, int64 `[lines]`, and the number of blank lines.
    """
    filled, blank = filled_lines(texts)
    return hashed(filled), blank


def hashed(lines: tf.Tensor) -> tf.Tensor:
    """Returns the hashes of lines, int64 of the same shape."""
    return tf.strings.to_hash_bucket_fast(lines, 2**HASH_BITS - 1)


def filled_lines(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns all lines that are not blank, string `[lines]`, and the number of blank lines.

    Args:
        texts: string `[texts]`, each of whole lines.
    """
    texts = tf.strings.regex_replace(texts, r"\r\n?", "\n")
    texts = tf.strings.regex_replace(texts, r"\n\z", "")
    texts = tf.boolean_mask(texts, tf.strings.length(texts) > 0)
    lines = tf.strings.strip(tf.strings.split(texts, "\n").flat_values)
    filled = tf.boolean_mask(lines, tf.strings.length(lines) > 0)
    return filled, tf.size(lines) - tf.size(filled)


def compare_lines(bucket: int, aside: str, shards: Sequence[ExamplesShard]) -> dict[str, dict[str, Any]]:
    """Compares the lines of a bucket of hashes, within each split and with the train split.

    Args:
        bucket: The bucket.
        aside: Folder of the files of hashes.
        shards: All shards.

    Returns:
        For each split: `filled` (number of lines), `duplicated` (those seen before in the split), `in_train` (those
            that train has) and `shared` (some hashes of those, for examples).
    """
    parts = {split: [np.empty(0, np.int64)] for split in SPLITS}
    for shard in shards:
        parts[shard.split].append(read_bucket(hashes_file(aside, shard.split, shard.number), bucket))
    lines = {split: np.concatenate(part) for split, part in parts.items()}
    distinct_train = np.unique(lines["train"])
    compared = {}
    for split, hashes in lines.items():
        in_train = np.isin(hashes, distinct_train)
        compared[split] = {
            "filled": len(hashes),
            "duplicated": len(hashes) - len(np.unique(hashes)),
            "in_train": int(in_train.sum()),
            "shared": [] if split == "train" else np.unique(hashes[in_train])[: MAX_SHARED >> BUCKET_BITS].tolist(),
        }
    return compared


def find_lines(shards: Sequence[ExamplesShard], hashes: Sequence[int]) -> list[str]:
    """Finds the longest few of the lines with given hashes, for people to see.

    Args:
        shards: The shards of a split.
        hashes: The hashes.

    Returns:
        At most `EXAMPLES` lines, shortened and made printable.
    """
    matches: set[bytes] = set()
    batches = (batch for shard in shards for batch in read_batches(shard)) if hashes else ()
    for batch in batches:
        lines, _ = filled_lines(tf.constant([example.text for example in batch]))
        matches.update(lines.numpy()[np.isin(hashed(lines).numpy(), hashes)].tolist())
        if len(matches) >= len(hashes):
            break
    return [printable(line, EXCERPT) for line in sorted(matches, key=lambda line: (-len(line), line))[:EXAMPLES]]


def read_bucket(path: Path, bucket: int) -> np.ndarray:
    """Reads the hashes of one bucket.

    Args:
        path: A file of sorted hashes.
        bucket: The highest `BUCKET_BITS` bits of the hashes to read.

    Returns:
        int64 `[lines]`.
    """
    if not path.stat().st_size:
        return np.empty(0, np.int64)  # an empty file cannot be mapped
    hashes = np.memmap(path, np.int64, mode="r")
    width = HASH_BITS - BUCKET_BITS
    start = np.searchsorted(hashes, bucket << width)
    stop = np.searchsorted(hashes, ((bucket + 1) << width) - 1, side="right")  # the last bucket ends at int64's end
    return np.array(hashes[start:stop])


def write_statistics(
    folder: str,
    aside: str,
    settings: dict[str, Any],
    shards: Sequence[ExamplesShard],
    counts_kept: str,
    compared_kept: str,
) -> None:
    """Adds up each split's shards in order and writes its statistics, and train's frequent words.

    Args:
        folder: Folder of the artifact.
        aside: Folder of the train shards' words.
        settings: Arguments of the tokenizer.
        shards: All shards.
        counts_kept: Folder of the results of `CountShard`.
        compared_kept: Folder of the results of `compare_lines`.
    """
    kept = beam_pipeline.kept(counts_kept, len(shards))
    counts = [(split, number, Counts.from_json(count)) for split, number, count in kept]
    compared: list[dict] = beam_pipeline.kept(compared_kept, 2**BUCKET_BITS)
    for split in SPLITS:
        ordered = sorted((number, count) for name, number, count in counts if name == split)
        total = functools.reduce(Counts.__add__, (count for _, count in ordered), Counts())
        filled, duplicated, in_train = (
            sum(bucket[split][key] for bucket in compared) for key in ("filled", "duplicated", "in_train")
        )
        statistics = {"split": split, "tokenizer": settings, **total.summary()}
        statistics["duplicated_lines"] = duplicated
        statistics["duplicated_share"] = duplicated / max(1, filled)
        if split != "train":
            statistics["overlap_with_train"] = {"lines": in_train, "share": in_train / max(1, filled)}
            shared = [number for bucket in compared for number in bucket[split]["shared"]]
            statistics["shared_lines"] = find_lines([shard for shard in shards if shard.split == split], shared)
        split_dir(Path(folder), split).mkdir(exist_ok=True)
        STATISTICS.write(split_dir(Path(folder), split), statistics)
    numbers = sorted(number for split, number, _ in counts if split == "train")
    total = frequent_words.add(words_file(aside, number) for number in numbers)
    frequent_words.write(split_dir(Path(folder), "train") / frequent_words.WORDS_FILE, total)
