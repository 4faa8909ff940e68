"""Masks of dropout: what share they drop, and what they depend on."""

import numpy as np
import pytest
import tensorflow as tf

from models.layers.dropout import DropoutRates, draw_masks, variational_mask

RATE, UNITS = 0.5, 4


def masks(lanes=range(8), seed=(1, 2), **rates):
    given = {"inputs": RATE, "hidden": RATE, "output": RATE, "words": 0.2, "weights": 0.4} | rates
    sizes = 500, 60, 40, 2
    return draw_masks(DropoutRates(**given), sizes, 8, tf.constant(list(lanes)), tf.constant(seed), "float32")


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.65])
def test_rate_is_the_share_that_is_dropped_and_the_expectation_is_kept(rate):
    mask = variational_mask(rate, (400, 500), tf.constant([1, 2]), tf.range(400)).numpy()
    np.testing.assert_allclose(np.unique(mask), sorted({0.0, 1 / (1 - rate)} if rate else {1.0}), rtol=1e-6)
    assert (mask == 0).mean() == pytest.approx(rate, abs=0.005)
    assert mask.mean() == pytest.approx(1.0, abs=0.01)


def test_the_mask_of_a_lane_is_the_same_wherever_the_lane_is_trained():
    whole = variational_mask(RATE, (8, UNITS), tf.constant([1, 2]), tf.range(8))
    for lanes in ([0, 1, 2, 3], [4, 5, 6, 7], [6, 7], [5]):
        part = variational_mask(RATE, (8, UNITS), tf.constant([1, 2]), tf.constant(lanes))
        np.testing.assert_array_equal(part, whole.numpy()[lanes])


def test_each_lane_and_each_seed_has_another_mask():
    seeds = [(1, 0), (1, 1), (2, 0)]
    masks = np.concatenate([variational_mask(RATE, (8, 50), tf.constant(seed), tf.range(8)) for seed in seeds])
    assert len(np.unique(masks, axis=0)) == 24


def test_each_rate_drops_its_share_of_its_own_tensors():
    drawn = masks(inputs=0.1, hidden=0.3, output=0.6)
    shares = [(drawn.inputs, 0.1), *((mask, 0.3) for mask in drawn.hidden), (drawn.output, 0.6), (drawn.words, 0.2)]
    for mask, rate in [*shares, *((mask, 0.4) for mask in drawn.recurrent)]:
        assert np.mean(mask.numpy() == 0) == pytest.approx(rate, abs=0.08)
        assert np.unique(mask)[-1] == pytest.approx(1 / (1 - rate))
    assert drawn.inputs.shape == (8, 60) and drawn.output.shape == (8, 40)
    assert [m.shape for m in drawn.hidden] == [(8, 40)] * 2 and [m.shape for m in drawn.recurrent] == [(40, 160)] * 2


def test_masks_of_words_and_weights_are_the_same_on_every_replica():
    whole, part = masks(), masks(lanes=[6, 7])
    np.testing.assert_array_equal(part.words, whole.words)
    np.testing.assert_array_equal(part.recurrent, whole.recurrent)
    np.testing.assert_array_equal(part.output, whole.output[6:])


def test_all_masks_of_a_step_differ():
    drawn = masks()
    of_lanes = [mask.numpy()[:, :40] for mask in (drawn.inputs, *drawn.hidden, drawn.output)]
    assert len(np.unique(np.concatenate(of_lanes), axis=0)) == 4 * 8
    assert (drawn.recurrent[0].numpy() != drawn.recurrent[1].numpy()).any()


def test_the_masks_of_the_paper_do_not_change_with_the_further_ones():
    alone = masks(output=None, words=0.0, weights=0.0)
    assert alone.output is alone.words is alone.recurrent is None
    np.testing.assert_array_equal(alone.inputs, masks().inputs)
    np.testing.assert_array_equal(alone.hidden, masks().hidden)
