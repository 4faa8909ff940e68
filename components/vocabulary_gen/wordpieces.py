"""Learns wordpieces from the counts of words."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_text.tools.wordpiece_vocab import wordpiece_tokenizer_learner_lib as learner

from models.text.tokenizer import EOS, UNK, wordpiece_tokenizer

DEFAULT_SIZE = 8_000  # number of pieces if `max_size` is 0: without a bound every word would become a piece
MAX_SAMPLE_WORDS = 50_000  # number of words to learn from: the learner holds all their substrings in memory
MAX_LETTERS = 500  # number of letters that are pieces by themselves, at most a quarter of the vocabulary
LEARNED_LETTERS = 50  # length of the longest word to learn from: the learner holds all its substrings
BATCH_WORDS = 100_000


def learn(
    words: Callable[[], Iterator[tuple[bytes, int]]], reserved: Mapping[bytes, int], max_size: int, min_count: int
) -> collections.Counter[bytes]:
    """Learns pieces and counts their occurrences.

    Args:
        words: Returns an iterator over all words except `reserved` with their counts, the most frequent first. It is
            called for each pass.
        reserved: Counts of `<unk>` and `<eos>`.
        max_size: Largest number of pieces, including `<unk>` and `<eos>`; 0 is `DEFAULT_SIZE`.
        min_count: Words with fewer occurrences are not learned from.

    Returns:
        Number of occurrences of each piece when the counted words are cut into pieces. Pieces that occur only within
        others have 0, and `<unk>` counts the words that cannot be cut.
    """
    size = max_size or DEFAULT_SIZE
    letters = frequent_letters(words(), min(MAX_LETTERS, size // 4), min_count)
    decoded = ((word.decode(), count) for word, count in words() if count >= min_count)
    learnable = (item for item in decoded if len(item[0]) <= LEARNED_LETTERS and letters.issuperset(item[0]))
    teachers = sorted(itertools.islice(learnable, MAX_SAMPLE_WORDS))
    pieces = []
    if teachers:
        pieces = learner.learn(
            teachers,
            vocab_size=size,
            reserved_tokens=[UNK, EOS],
            lower_thresh=2,
            max_input_tokens=MAX_SAMPLE_WORDS,
            max_token_length=LEARNED_LETTERS,
            max_unique_chars=len(letters),
        )
    # Letters of words that are too rare or too long to learn from, so that these words can be spelled.
    pieces = dict.fromkeys([*pieces, *sorted(letters), *(f"##{letter}" for letter in sorted(letters))])
    counts = count_pieces(words(), reserved, [UNK, EOS, *(piece for piece in pieces if piece not in (UNK, EOS))])
    if len(counts) > size:  # the learner can exceed its bound; the letters are kept, to spell any word
        kept = sorted(counts.keys() - reserved, key=lambda piece: (not _is_letter(piece), -counts[piece], piece))
        counts = count_pieces(words(), reserved, [UNK, EOS, *(piece.decode() for piece in kept[: size - 2])])
    return counts


def frequent_letters(words: Iterable[tuple[bytes, int]], limit: int, min_count: int) -> set[str]:
    """Returns the most frequent letters of all words.

    Args:
        words: All words with their counts.
        limit: Largest number of letters.
        min_count: Letters with fewer occurrences are left out.
    """
    totals: collections.Counter[str] = collections.Counter()
    for word, count in words:
        for letter in word.decode():
            totals[letter] += count
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return {letter for letter, total in ranked[:limit] if total >= min_count}


def count_pieces(
    words: Iterable[tuple[bytes, int]], reserved: Mapping[bytes, int], pieces: Sequence[str]
) -> collections.Counter[bytes]:
    """Cuts words into pieces and counts how often each piece occurs.

    Args:
        words: The words with their counts.
        reserved: Counts of `<unk>` and `<eos>`, which are cut, too.
        pieces: The pieces, in the order of their ids.
    """
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(pieces, tf.range(len(pieces), dtype=tf.int64)), -1
    )
    tokenizer = wordpiece_tokenizer(table, pieces, tf.int64)
    totals = np.zeros(len(pieces), np.int64)
    counted = itertools.chain(reserved.items(), words)
    while batch := list(itertools.islice(counted, BATCH_WORDS)):
        texts, occurrences = zip(*batch, strict=True)
        cut = tokenizer.tokenize(tf.constant(texts))
        weights = np.repeat(np.array(occurrences, np.int64), cut.row_lengths().numpy())
        np.add.at(totals, cut.flat_values.numpy(), weights)
    return collections.Counter({piece.encode(): int(total) for piece, total in zip(pieces, totals, strict=True)})


def _is_letter(piece: bytes) -> bool:
    return len(piece.decode().removeprefix("##")) == 1
