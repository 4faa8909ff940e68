"""Writes token ids with Beam: one output shard for each input shard, in the same order."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf

from components import base, beam_pipeline
from components.artifacts import vocabulary
from components.artifacts.examples import ExamplesShard, list_shards, read_batches
from components.artifacts.splits import SPLITS, split_dir
from components.artifacts.token_counts import COUNTS
from models.text.token_stream import TokenStream, TokenWriter, write_index
from models.text.tokenizer import UNK_ID, Tokenizer

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrittenShard:
    """The tokens of one shard.

    Attributes:
        shard: The input shard.
        file: Name of the output file.
        records: Number of tokens of each record that was written.
        tokens: Number of tokens that the tokenizer found.
        unknown: Number of those tokens that have no id of their own.
    """

    shard: ExamplesShard
    file: str
    records: tuple[int, ...]
    tokens: int
    unknown: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "WrittenShard":
        """Rebuilds the value from a dict of its fields.

        Args:
            values: The fields, as `dataclasses.asdict` returns them.
        """
        shard = ExamplesShard(**values["shard"])
        return cls(**{**values, "shard": shard, "records": tuple(values["records"])})


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Writes the token ids of every split, in the corpus's order.

    Args:
        inputs: `examples` (the text) and `vocabulary`.
        outputs: `transformed_examples` receives `Split-<s>/tokens-*`, `Split-<s>/index.json` and `counts.json`, the
            number of tokens by split.
        parameters: The limit for words without an id, what happens above it, and Beam's options.
        context: Not used.

    Returns:
        `<split>_tokens` and `<split>_unk_rate` (share of the tokens without an id of their own) of each split, and
        `warnings` if there are any.

    Raises:
        ComponentError: If a split has no tokens, the number of written tokens is wrong, or `fail_on_unk` is set and too
            many tokens have no id.
    """
    folder = outputs["transformed_examples"]
    shards = list_shards(inputs["examples"])
    for split in SPLITS:
        split_dir(folder, split).mkdir()
    results = _write_tokens(shards, inputs["vocabulary"], folder, parameters.beam_args)
    write_indexes(str(folder), shards, results)
    counts = COUNTS.read(folder)
    expected = vocabulary.FIGURES.read(inputs["vocabulary"])["tokens"]
    check_conservation(folder, counts, expected)
    rates = {split: count["unknown"] / count["tokens"] for split, count in counts.items()}
    warnings = list(_unknown_warnings(rates, parameters.max_unk_share))
    if warnings and parameters.fail_on_unk:
        raise base.ComponentError("\n".join(warnings))
    for warning in warnings:
        _LOG.warning(warning)
    figures = {
        f"{split}_{name}": value
        for split, count in counts.items()
        for name, value in (("tokens", count["tokens"]), ("unk_rate", rates[split]))
    }
    return figures | ({"warnings": warnings} if warnings else {})


def _write_tokens(
    shards: Sequence[ExamplesShard], vocabulary_folder: Path, folder: Path, beam_args: Sequence[str]
) -> list[WrittenShard]:
    """Tokenizes all shards with Beam and moves their files into the splits' folders."""
    # A temporary folder, so that no incomplete file of a lost worker stays in the output.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tokens-") as aside:
        with beam_pipeline.open_pipeline(beam_args) as root:
            written = beam_pipeline.read_shards(root, shards) | "Tokenize" >> beam.ParDo(
                WriteShard(str(vocabulary_folder), aside)
            )
            named = written | "Name" >> beam.Map(lambda result: (f"{result.shard.split}-{result.file}", asdict(result)))
            beam_pipeline.keep(named, Path(aside))
        results = [WrittenShard.from_json(values) for values in beam_pipeline.kept(Path(aside), len(shards))]
        for result in results:
            file_of(aside, result.shard).rename(split_dir(folder, result.shard.split) / result.file)
    return results


def _unknown_warnings(rates: Mapping[str, float], limit: float) -> Iterator[str]:
    for split, rate in rates.items():
        if rate > limit:
            yield (
                f"{rate:.1%} of the {split} split's tokens have no id of their own (<unk>), more than "
                f"example_validator.max_unk_share, {limit:.1%}. Raise vocabulary.max_size, lower "
                "vocabulary.min_count, or use vocabulary.tokenizer=wordpiece."
            )


class WriteShard(beam.DoFn):
    """Tokenizes one shard and writes its ids: one record for each batch, in order.

    Args:
        vocabulary: Folder of the Vocabulary artifact.
        folder: Folder for the files.
    """

    def __init__(self, vocabulary: str, folder: str):
        self._vocabulary = vocabulary
        self._folder = folder

    def setup(self) -> None:
        """Loads the tokenizer, once for each worker."""
        tokenizer = Tokenizer.load(self._vocabulary)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def encode(texts):
            words = tokenizer.words(texts).flat_values
            ids = tf.cast(tokenizer.ids(words), tf.int32)
            return ids, tf.size(words), tf.math.count_nonzero(ids == UNK_ID)

        self._encode = encode

    def process(self, shard: ExamplesShard) -> Iterator[WrittenShard]:
        """Writes the ids of a shard and yields what was written.

        Args:
            shard: The shard.
        """
        tokens = unknown = 0
        with beam_pipeline.writing_aside(file_of(self._folder, shard)) as aside, TokenWriter(aside) as writer:
            for batch in read_batches(shard):
                ids, batch_tokens, batch_unknown = self._encode(tf.constant([example.text for example in batch]))
                writer.write(ids.numpy())
                tokens += int(batch_tokens)
                unknown += int(batch_unknown)
        file = f"tokens-{shard.number:05d}-of-{shard.of:05d}"
        yield WrittenShard(shard, file, tuple(writer.counts), tokens, unknown)


def file_of(folder: str, shard: ExamplesShard) -> Path:
    """Returns the temporary file, below `folder`, of the ids of `shard`.

    Args:
        folder: The temporary folder.
        shard: The shard.
    """
    return Path(folder) / f"{shard.split}-{shard.number:05d}"


def write_indexes(folder: str, shards: Sequence[ExamplesShard], written: Sequence[WrittenShard]) -> None:
    """Writes each split's index in the order of the input shards, in whatever order the runner returned them.

    Args:
        folder: Folder of the artifact.
        shards: The input shards, in order.
        written: What the workers returned.

    Raises:
        RuntimeError: If the runner did not return each shard exactly once.
    """
    by_shard = {result.shard: result for result in written}
    if len(written) != len(shards) or by_shard.keys() != set(shards):
        raise RuntimeError(f"The Beam runner returned {len(written)} shards of {len(shards)}, or some of them twice.")
    counts = {}
    for split in SPLITS:
        ordered = [by_shard[shard] for shard in shards if shard.split == split]
        write_index(split_dir(Path(folder), split), [(result.file, result.records) for result in ordered])
        counts[split] = {key: sum(getattr(result, key) for result in ordered) for key in ("tokens", "unknown")}
    COUNTS.write(Path(folder), counts)


def check_conservation(folder: Path, counts: Mapping[str, Mapping[str, int]], train_tokens: int) -> None:
    """Compares the tokens that the tokenizer counted, those in the files, and those that VocabularyGen counted.

    Args:
        folder: Folder of the artifact.
        counts: For each split, `tokens` that the tokenizer counted.
        train_tokens: Number of tokens of the train split that VocabularyGen counted.

    Raises:
        ComponentError: If the numbers differ, or a split has no tokens.
    """
    for split, count in counts.items():
        if not count["tokens"]:
            raise base.ComponentError(
                f"The {split} split has no tokens. Check example_gen.data_dir and example_gen.pattern: give more text."
            )
        stored = len(TokenStream(split_dir(folder, split)))
        if stored != count["tokens"]:
            raise base.ComponentError(
                f"{split_dir(folder, split)} holds {stored:,} tokens, but {count['tokens']:,} were counted. Check "
                "whether the disk is full, then run Transform again (--no-cache)."
            )
    if counts["train"]["tokens"] != train_tokens:
        raise base.ComponentError(
            f"Transform counted {counts['train']['tokens']:,} tokens in the train split, VocabularyGen "
            f"{train_tokens:,}: the vocabulary belongs to other examples. Run both again (--no-cache)."
        )
