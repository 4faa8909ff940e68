"""Counts in buckets, against Python's own `Counter`."""

import collections
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from components.vocabulary_gen import executor, word_counts
from tests.components.vocabulary_gen.test_executor import vocabulary_of

WORD = st.one_of(
    st.binary(min_size=1, max_size=4).filter(lambda word: b"\n" not in word), st.sampled_from(word_counts.RESERVED)
)
SHARDS = st.lists(st.dictionaries(WORD, st.integers(1, 5), max_size=20), max_size=5)


@settings(deadline=None, max_examples=60)
@given(SHARDS, st.integers(1, 7))
def test_all_buckets_together_are_the_sum_of_the_shards(tmp_path_factory, shards, buckets):
    folder = tmp_path_factory.mktemp("counts")
    files = [folder / f"{number}.counts" for number in range(len(shards))]
    for file, counts in zip(files, shards, strict=True):
        word_counts.write_shard(file, counts, buckets)
    ranked = [folder / f"{bucket}.ranked" for bucket in range(buckets)]
    figures = [word_counts.add_bucket(bucket, files, path) for bucket, path in enumerate(ranked)]
    expected = sum(map(collections.Counter, shards), collections.Counter())
    assert sum(bucket["tokens"] for bucket in figures) == expected.total()
    reserved = [sum(bucket["reserved"][place] for bucket in figures) for place in (0, 1)]
    assert reserved == [expected.pop(word, 0) for word in word_counts.RESERVED]
    assert list(word_counts.merged(ranked)) == sorted(expected.items(), key=lambda item: (-item[1], item[0]))


def test_a_text_of_many_buckets_has_the_vocabulary_of_one(tmp_path):
    text = "\n".join(f"a{n % 7} b{n % 50} c{n % 400} <unk>" for n in range(3_000)).encode()
    for options in ({"max_size": 100}, {"min_count": 8}, {"tokenizer": "wordpiece", "max_size": 60}):
        whole = vocabulary_of(tmp_path, text, f"whole {options}", **options)
        with mock.patch.object(executor.word_counts, "BYTES_A_BUCKET", 1 << 10):
            assert vocabulary_of(tmp_path, text, f"parts {options}", chunk_bytes=10_000, **options) == whole
