"""Counts the train split's words with Beam and writes the vocabulary."""

import itertools
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf

from components import base, beam_pipeline
from components.artifacts import vocabulary, word_rows
from components.artifacts.examples import ExamplesShard, list_shards, read_batches
from components.vocabulary_gen import word_counts, wordpieces
from models.settings import TokenizerSettings
from models.text import vocabulary_files
from models.text.tokenizer import Tokenizer


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Counts the words of the train split and writes the vocabulary.

    Args:
        inputs: `examples`, of which the train split is read.
        outputs: `vocabulary` receives `vocabulary.txt`, `counts.tsv`, `tokenizer.json`, and `vocabulary.json` with the
            figures.
        parameters: The tokenizer's settings, which words are kept, and Beam's options.
        context: Not used.

    Returns:
        `size` (number of words that have an id), `tokens` (number of tokens of the train split) and `coverage` (share
        of those tokens whose word has an id).

    Raises:
        ComponentError: If the train split has no words, or its shards are missing or damaged.
    """
    folder = outputs["vocabulary"]
    settings = parameters.model_dump(include=set(TokenizerSettings.model_fields))
    vocabulary_files.write_settings(folder, settings)
    shards = list_shards(inputs["examples"], ["train"])
    # A temporary folder, so that no incomplete file of a lost worker stays in the output.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".words-") as aside:
        ranked, totals = count_words(shards, settings, parameters.beam_args, Path(aside))
        if not totals["tokens"]:
            raise base.ComponentError(
                "The train split has no words. Check example_gen.data_dir and example_gen.pattern."
            )
        reserved = dict(zip(word_counts.RESERVED, totals["reserved"], strict=True))
        if parameters.tokenizer == "wordpiece":
            counts = learn_pieces(lambda: word_counts.merged(ranked), reserved, parameters)
        else:
            counts = choose_words(word_counts.merged(ranked), reserved, parameters.max_size, parameters.min_count)
    tokens = sum(counts.values()) if parameters.tokenizer == "wordpiece" else totals["tokens"]
    # An `<unk>` in the text counts as a known word. Among wordpieces, `<unk>` counts words that cannot be cut.
    known = sum(list(counts.values())[parameters.tokenizer == "wordpiece" :])
    figures: vocabulary.VocabularyFigures = {"size": len(counts), "tokens": tokens, "coverage": known / tokens}
    vocabulary.write_words(folder, counts)
    vocabulary.FIGURES.write(folder, figures)
    return dict(figures)


def count_words(
    shards: list[ExamplesShard], settings: dict[str, Any], beam_args: list[str], aside: Path
) -> tuple[list[Path], word_counts.BucketFigures]:
    """Counts the words of all shards.

    Args:
        shards: The shards of the train split.
        settings: Arguments of the tokenizer.
        beam_args: Options of Apache Beam.
        aside: An empty folder for the counts.

    Returns:
        The files of ranked words, and the figures of all of them together.
    """
    buckets = word_counts.number_of_buckets(sum(Path(shard.path).stat().st_size for shard in shards))
    files = [aside / f"{shard.number:05d}.counts" for shard in shards]
    ranked = [aside / f"{bucket:05d}.ranked" for bucket in range(buckets)]
    with beam_pipeline.open_pipeline(beam_args) as root:
        _ = beam_pipeline.read_shards(root, shards) | "Count" >> beam.ParDo(CountWords(settings, str(aside), buckets))
    with beam_pipeline.open_pipeline(beam_args) as root:
        numbers = root | "Buckets" >> beam.Create(range(buckets), reshuffle=True)
        figures = numbers | "Add" >> beam.Map(
            lambda bucket: (f"{bucket:05d}", word_counts.add_bucket(bucket, files, ranked[bucket]))
        )
        beam_pipeline.keep(figures, aside)
    by_bucket: list[word_counts.BucketFigures] = beam_pipeline.kept(aside, buckets)
    reserved = [sum(counts) for counts in zip(*(bucket["reserved"] for bucket in by_bucket), strict=True)]
    return ranked, {"tokens": sum(bucket["tokens"] for bucket in by_bucket), "reserved": reserved}


class CountWords(beam.DoFn):
    """Counts a shard's words into a file.

    Args:
        settings: Arguments of the tokenizer.
        folder: Folder for the file `<number>.counts`.
        buckets: Number of buckets of words in the file.
    """

    def __init__(self, settings: dict[str, Any], folder: str, buckets: int):
        self._settings = settings
        self._folder = folder
        self._buckets = buckets

    def setup(self) -> None:
        """Creates the tokenizer and the TensorFlow function, once for each worker."""
        self._tokenizer = Tokenizer(**self._settings)
        self._count = tf.function(
            lambda texts: tf.unique_with_counts(self._tokenizer.words(texts).flat_values),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    def process(self, shard: ExamplesShard) -> None:
        """Counts the words of a shard and writes the file.

        Args:
            shard: The shard.
        """
        total: Counter[bytes] = Counter()
        for batch in read_batches(shard):
            words, _, counts = self._count(tf.constant([example.text for example in batch]))
            total.update(dict(zip(words.numpy().tolist(), counts.numpy().tolist(), strict=True)))
        word_counts.write_shard(Path(self._folder) / f"{shard.number:05d}.counts", total, self._buckets)


def choose_words(
    ranked: Iterable[word_rows.Count], reserved: Mapping[bytes, int], max_size: int, min_count: int
) -> dict[bytes, int]:
    """Chooses the vocabulary: `<unk>`, `<eos>`, then words by count (descending), then by bytes.

    Args:
        ranked: All other words in that order, each with its count.
        reserved: Counts of `<unk>` and `<eos>`.
        max_size: Number of words to keep, including the first two; 0 keeps all.
        min_count: Number of occurrences below which a word is left out.

    Returns:
        Word -> count, in the order of the ids.
    """
    frequent = itertools.takewhile(lambda item: item[1] >= min_count, ranked)
    return dict(reserved) | dict(itertools.islice(frequent, max_size - len(reserved) if max_size else None))


def learn_pieces(
    words: Callable[[], Iterator[word_rows.Count]], reserved: Mapping[bytes, int], parameters: base.Parameters
) -> dict[bytes, int]:
    """Learns the vocabulary of wordpieces and counts them.

    Args:
        words: Returns an iterator over all words except the reserved ones, each with its count.
        reserved: Counts of `<unk>` and `<eos>` in the text.
        parameters: `max_size` and `min_count` bound what is learned.

    Returns:
        Piece -> count, in the order of `choose_words`.
    """
    counts = wordpieces.learn(words, reserved, parameters.max_size, parameters.min_count)
    first = {word: counts.pop(word) for word in reserved}
    return first | dict(sorted(counts.items(), key=word_rows.rank))
