"""Counts the train split's words with a Beam combiner and writes the vocabulary."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf

from components import base, beam_pipeline
from components.artifacts import vocabulary
from components.artifacts.examples import ExamplesShard, list_shards, read_batches
from components.vocabulary_gen import wordpieces
from models.text import vocabulary_files
from models.text.tokenizer import EOS, UNK, Tokenizer


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: base.Parameters, context: base.Context
) -> dict[str, Any]:
    """Writes `vocabulary.txt`, `counts.tsv`, `tokenizer.json`, and `vocabulary.json`, which holds the figures.

    Returns:
        size: Words that have an id.
        tokens: Tokens of the train split.
        coverage: Share of those tokens whose word has an id.

    Raises:
        ComponentError: If the train split has no words.
    """
    folder = outputs["vocabulary"]
    settings = parameters.model_dump(include={"tokenizer", "lowercase", "keep_blank_lines"})
    vocabulary_files.write_settings(folder, settings)
    with beam_pipeline.pipeline(parameters.beam_args) as root:
        (
            beam_pipeline.read_shards(root, list_shards(inputs["examples"], ["train"]))
            | "Count" >> beam.ParDo(CountWords(settings))
            | "Add" >> beam.CombineGlobally(AddCounts()).without_defaults()  # a default would be a side input
            | "Write" >> beam.Map(write_vocabulary, str(folder), parameters)
        )
    figures = vocabulary.FIGURES.read(folder)
    if not figures["tokens"]:
        raise base.ComponentError("The train split has no words. Check example_gen.data_dir and example_gen.pattern.")
    return figures


class CountWords(beam.DoFn):
    """Counts a shard's words: gives one dict, word (bytes) to count.

    Args:
        settings: Arguments of the tokenizer.
    """

    def __init__(self, settings: dict[str, Any]):
        self._settings = settings

    def setup(self) -> None:
        self._tokenizer = Tokenizer(**self._settings)
        self._count = tf.function(
            lambda texts: tf.unique_with_counts(self._tokenizer.words(texts).flat_values),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    def process(self, shard: ExamplesShard) -> Iterable[dict[bytes, int]]:
        total = Counter()
        for batch in read_batches(shard):
            words, _, counts = self._count(tf.constant([example.text for example in batch]))
            total.update(dict(zip(words.numpy().tolist(), counts.numpy().tolist(), strict=True)))
        yield dict(total)


class AddCounts(beam.CombineFn):
    """Adds up dicts of counts."""

    def create_accumulator(self) -> Counter:
        return Counter()

    def add_input(self, total: Counter, counts: Mapping[bytes, int]) -> Counter:
        total.update(counts)
        return total

    def merge_accumulators(self, totals: Iterable[Counter]) -> Counter:
        merged, *others = totals
        for total in others:
            merged.update(total)
        return merged

    def extract_output(self, total: Counter) -> Counter:
        return total


def choose_words(counts: Mapping[bytes, int], max_size: int, min_count: int) -> list[bytes]:
    """The vocabulary: `<unk>`, `<eos>`, then words by count (descending), then by bytes.

    Args:
        counts: Occurrences of each word.
        max_size: Words to keep, the first two counted; 0 for all.
        min_count: Occurrences below which a word is left out.
    """
    reserved = [UNK.encode(), EOS.encode()]
    words = [word for word, count in counts.items() if count >= min_count and word not in reserved]
    words = reserved + sorted(words, key=lambda word: (-counts[word], word))
    return words[: max_size or None]


def write_vocabulary(counts: Mapping[bytes, int], folder: str, parameters: base.Parameters) -> None:
    """Chooses the words, or learns the pieces, and writes the files."""
    if parameters.tokenizer == "wordpiece":
        counts = wordpieces.learn(counts, parameters.max_size, parameters.min_count)
        words = choose_words(counts, max_size=0, min_count=0)
    else:
        words = choose_words(counts, parameters.max_size, parameters.min_count)
    tokens = sum(counts.values())
    # A word without an id is lost; an `<unk>` that the text itself has is a symbol like others, in words.
    known = sum(counts.get(word, 0) for word in words[parameters.tokenizer == "wordpiece" :])
    figures: vocabulary.VocabularyFigures = {"size": len(words), "tokens": tokens, "coverage": known / max(1, tokens)}
    vocabulary.write_words(Path(folder), words, counts)
    vocabulary.FIGURES.write(Path(folder), figures)
