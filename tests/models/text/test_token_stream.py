"""Token streams on disk: slices, damaged indices, lanes."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models.text.token_stream import Lanes, TokenStream, TokenWriter, write_index
from models.text.tokenizer import EOS_ID


def write_split(folder, shards):
    """Writes shards, each a list of records' lengths, holding 0, 1, 2, ... in order."""
    folder.mkdir()
    index, position = [], 0
    for number, lengths in enumerate(shards):
        file = f"tokens-{number:05d}-of-{len(shards):05d}"
        with TokenWriter(folder / file) as writer:
            for length in lengths:
                writer.write(np.arange(position, position + length, dtype=np.int32))
                position += length
        index.append((file, writer.counts))
    assert write_index(folder, index) == position
    return folder


@pytest.fixture
def split(tmp_path):
    return write_split(tmp_path / "Split-train", [[3, 5], [], [0, 1, 1], [7]])


def test_a_stream_gives_back_any_slice_across_records_and_shards(split):
    stream = TokenStream(split)
    tokens = np.arange(17)
    assert len(stream) == 17
    for start in range(-18, 19):
        for stop in range(-18, 19):
            part = stream[start:stop]
            assert part.dtype == np.int32
            np.testing.assert_array_equal(part, tokens[start:stop])
    np.testing.assert_array_equal(stream[:], tokens)


def test_shards_are_plain_tfrecords_of_little_endian_ids(split):
    index = json.loads((split / "index.json").read_text())
    assert index["format"] == 1
    assert index["num_tokens"] == 17
    assert [shard["records"] for shard in index["shards"]] == [[3, 5], [], [1, 1], [7]]
    files = [str(split / shard["file"]) for shard in index["shards"]]
    records = [np.frombuffer(record, "<i4") for record in tf.data.TFRecordDataset(files).as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(records), np.arange(17))


def test_a_stream_of_nothing_is_empty(tmp_path):
    stream = TokenStream(write_split(tmp_path / "Split-train", []))
    assert len(stream) == 0
    assert stream[0:5].shape == (0,)


def test_an_index_that_disagrees_with_its_shards_is_refused(split):
    shard = split / "tokens-00003-of-00004"
    content = shard.read_bytes()
    shard.write_bytes(content[:-4])
    with pytest.raises(ValueError, match="tokens-00003-of-00004 has 40 bytes; the index expects 44"):
        TokenStream(split)
    shard.unlink()
    with pytest.raises(ValueError, match="is missing"):
        TokenStream(split)
    shard.write_bytes(content)
    index = json.loads((split / "index.json").read_text())
    (split / "index.json").write_text(json.dumps({**index, "num_tokens": 18}))
    with pytest.raises(ValueError, match="found num_tokens 18, expected the sum of its records, 17"):
        TokenStream(split)
    (split / "index.json").write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(ValueError, match="format 2"):
        TokenStream(split)
    shard = {"file": "tokens", "records": [3]}
    for wrong in (
        {"num_tokens": "17"},
        {"num_tokens": 10**30},
        {"shards": None},
        {"shards": [3]},
        {"shards": [shard | {"records": ["3"]}]},
        {"shards": [shard | {"records": [-3]}]},
        {"shards": [shard | {"file": "../elsewhere/tokens"}]},
    ):
        (split / "index.json").write_text(json.dumps(index | wrong))
        with pytest.raises(ValueError, match=r"index.json is damaged.*--no-cache"):
            TokenStream(split)
    for content, message in ((b"[1]", "format"), (b"\xff{", "not JSON"), (b'{"format"', "not JSON")):
        (split / "index.json").write_bytes(content)
        with pytest.raises(ValueError, match=f"index.json .*{message}"):
            TokenStream(split)
    (split / "index.json").unlink()
    with pytest.raises(ValueError, match="has no index.json"):
        TokenStream(split)


@pytest.mark.parametrize("batch_size, sequence_length", [(1, 4), (3, 2), (4, 4), (5, 3), (17, 35)])
def test_each_token_of_a_lane_is_a_target_once_and_follows_its_input(split, batch_size, sequence_length):
    lanes = Lanes(TokenStream(split), batch_size)
    assert lanes.lane_length * batch_size + lanes.left_over == 17
    assert lanes.left_over < batch_size
    windows = [
        lanes.window(number * sequence_length, sequence_length) for number in range(lanes.num_windows(sequence_length))
    ]
    inputs = np.concatenate([window[0] for window in windows], axis=1)
    targets = np.concatenate([window[1] for window in windows], axis=1)
    np.testing.assert_array_equal(targets.reshape(-1), np.arange(17 - lanes.left_over))
    np.testing.assert_array_equal(inputs.reshape(-1), [EOS_ID, *range(17 - lanes.left_over - 1)])
    assert inputs.shape == (batch_size, lanes.lane_length)


def test_lanes_need_a_token_each_and_windows_lie_inside(split):
    with pytest.raises(ValueError, match="17 tokens, fewer than one for each of 18 lanes"):
        Lanes(TokenStream(split), 18)
    with pytest.raises(ValueError, match="batch_size is 0"):
        Lanes(TokenStream(split), 0)
    with pytest.raises(ValueError, match="outside the lanes of 8 tokens"):
        Lanes(TokenStream(split), 2).window(8, 4)
