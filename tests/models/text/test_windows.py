"""Windows of ids against a plain cut of the stream into lanes, whatever the shards and wherever they start."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from models import TokenStream, windows
from models.text.token_stream import EOS_ID, Lanes, TokenWriter, write_index
from models.text.windows import _of_lanes

TOKENS = 107


def ids(count=TOKENS):
    return np.random.default_rng(3).integers(2, 90, count).astype(np.int32)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    """Shards of records of many lengths, an empty shard among them."""
    folder, shards = tmp_path_factory.mktemp("split"), []
    for number, part in enumerate(np.split(ids(), [40, 40, 63, 64])):
        name = f"tokens-{number:05}-of-00005"
        with TokenWriter(folder / name) as writer:
            for record in np.array_split(part, 3):
                writer.write(record)
        shards.append((name, writer.counts))
    write_index(folder, shards)
    return TokenStream(folder)


def expected(batch_size, length):
    """The windows cut by NumPy: (inputs, targets, weights) each, the last one padded with zeros."""
    text = ids()
    lane_length = len(text) // batch_size
    targets = text[: batch_size * lane_length].reshape(batch_size, -1)
    inputs = np.concatenate([[EOS_ID], text])[: batch_size * lane_length].reshape(batch_size, -1)
    padding = ((0, 0), (0, -lane_length % length))
    arrays = [np.pad(array, padding) for array in (inputs, targets, np.ones_like(targets))]
    return list(zip(*(np.split(array, array.shape[1] // length, axis=1) for array in arrays), strict=True))


@pytest.mark.parametrize("source", ["stream", "array", "list"])
@pytest.mark.parametrize("batch_size, length", [(1, 1), (1, 107), (4, 5), (4, 26), (7, 4), (20, 5), (107, 1)])
def test_every_window_is_the_plain_cut_of_the_lanes(stream, source, batch_size, length):
    tokens = {"stream": stream, "array": ids(), "list": ids().tolist()}[source]
    found = list(windows(tokens, batch_size, length))
    cut = expected(batch_size, length)
    assert len(found) == len(cut) == windows(tokens, batch_size, length).cardinality()
    for number, ((inputs, targets, weights), (i, t, w)) in enumerate(zip(found, cut, strict=True)):
        np.testing.assert_array_equal(inputs["token_ids"], i)
        np.testing.assert_array_equal(targets, t)
        np.testing.assert_array_equal(weights, w)
        np.testing.assert_array_equal(inputs["lane"], range(batch_size))
        np.testing.assert_array_equal(inputs["window"], [number] * batch_size)


def test_a_lane_may_have_more_than_2_to_the_31_tokens():
    class Text:
        def __len__(self):
            return 2**31 + 1500

    def read(position):
        return tf.data.Dataset.from_tensors([7]).repeat(2**31 + 1500 - position)

    start = (2**31 + 1500) // 1000 - 1
    data = _of_lanes(read, Lanes(Text(), 1), range(1), sequence_length=1000, start=start)
    weights = [int(weight.numpy().sum()) for _, _, weight in data]
    assert sum(weights) == 2**31 + 1500 - start * 1000 and weights[0] == 1000


def test_a_data_set_starts_at_any_window_and_repeats_itself(stream):
    whole = [targets.numpy() for _, targets, _ in windows(stream, 4, 5)]
    for start in range(len(whole)):
        data = windows(stream, 4, 5, start)
        for _ in range(2):
            found = [(inputs["window"].numpy()[0], targets.numpy()) for inputs, targets, _ in data]
            assert [window for window, _ in found] == list(range(start, len(whole)))
            np.testing.assert_array_equal([targets for _, targets in found], whole[start:])


@pytest.mark.parametrize("first, needed", [(0, (0, 1, 2)), (2, (2, 3, 4))])
def test_some_lanes_are_rows_of_all_and_read_no_other_lanes_shards(first, needed, stream, tmp_path):
    """Two workers of two lanes each, without the shards that only the other one's lanes are in; shard 1 is empty."""
    folder = shutil.copytree(stream.split_dir, tmp_path / "split")
    tokens = TokenStream(folder)
    for number in {0, 1, 2, 3, 4} - set(needed):
        (folder / f"tokens-{number:05}-of-00005").unlink()
    part = windows(tokens, 4, 5).of_lanes(first, 2)
    assert part.cardinality() == windows(stream, 4, 5).cardinality()
    for (inputs, targets, weights), whole in zip(part, windows(stream, 4, 5), strict=True):
        for name in ("token_ids", "lane", "window"):
            np.testing.assert_array_equal(inputs[name], whole[0][name][first : first + 2])
        np.testing.assert_array_equal(targets, whole[1][first : first + 2])
        np.testing.assert_array_equal(weights, whole[2][first : first + 2])


def test_shapes_are_static_and_files_are_not_shared_out(stream):
    inputs, targets, weights = windows(stream, 4, 5).element_spec
    assert inputs["token_ids"].shape == targets.shape == weights.shape == (4, 5)
    policy = windows(stream, 4, 5).options().experimental_distribute.auto_shard_policy
    assert policy.name == "OFF"


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ((np.zeros((4, 5), int), 1, 1), ValueError, r"tokens: found an array of shape \[4, 5\], expected a 1-D array"),
        ((np.zeros(9), 1, 1), TypeError, "tokens: found float64 values, expected integer ids or a TokenStream"),
        ((["a", "b"], 1, 1), TypeError, "tokens: found .* expected integer ids"),
        (([], 1, 1), ValueError, "tokens: found 0 tokens, expected at least one window of every lane"),
        (([3] * 9, 2, 5), ValueError, "found 9 tokens, .*batch_size 2 x sequence_length 5 = 10. Use more text"),
        (([3] * 9, 0, 5), ValueError, "batch_size: found 0, expected at least 1"),
        (([3] * 9, 1, 2.5), TypeError, "sequence_length: found 2.5, expected a whole number"),
        (([3] * 9, 1, 3, 3), ValueError, "start: found 3, expected less than the number of windows, 3"),
        (([3] * 9, 1, 3, -1), ValueError, "start: found -1, expected at least 0"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(arguments, error, message):
    with pytest.raises(error, match=message):
        windows(*arguments)
