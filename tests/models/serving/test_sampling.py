"""Draws of the next token: temperature, top-k, nucleus, seeds."""

import numpy as np
import pytest
import tensorflow as tf

from models.serving.sampling import choose_tokens

PROBABILITIES = np.array([0.05, 0.4, 0.25, 0.15, 0.1, 0.05])
CHOOSE = tf.function(choose_tokens)


def draw(draws=4000, temperature=1.0, top_k=0, top_p=1.0, step=0, logits=None):
    """Relative frequencies of the tokens over many seeds."""
    logits = np.log(PROBABILITIES) if logits is None else logits

    def full(value, dtype):
        return tf.fill([draws], tf.constant(value, dtype))

    tokens = CHOOSE(
        tf.constant(np.tile(logits, [draws, 1]), tf.float32),
        full(temperature, tf.float32),
        full(top_k, tf.int32),
        full(top_p, tf.float32),
        tf.range(draws),
        tf.constant(step),
    )
    return np.bincount(tokens, minlength=len(logits)) / draws


def assert_close(frequencies, probabilities):
    probabilities = np.asarray(probabilities) / np.sum(probabilities)
    deviation = np.sqrt(probabilities * (1 - probabilities) / 4000)
    assert np.all(np.abs(frequencies - probabilities) <= 4 * deviation)


def test_draws_follow_the_softmax():
    assert_close(draw(), PROBABILITIES)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_divides_the_logits(temperature):
    assert_close(draw(temperature=temperature), PROBABILITIES ** (1 / temperature))


def test_temperature_zero_takes_the_most_probable():
    assert draw(temperature=0.0)[1] == 1.0


def test_top_k_keeps_k_tokens():
    assert_close(draw(top_k=3), [0, 0.4, 0.25, 0.15, 0, 0])


def test_top_k_keeps_exactly_k_among_equals():
    assert_close(draw(top_k=2, logits=np.zeros(6)), [1, 1, 0, 0, 0, 0])


def test_top_p_keeps_the_token_that_reaches_it():
    assert_close(draw(top_p=0.7), [0, 0.4, 0.25, 0.15, 0, 0])
    assert_close(draw(top_p=0.3), [0, 1, 0, 0, 0, 0])


def test_top_p_counts_within_what_top_k_left():
    # Of 0.4, 0.25 and 0.15 the first two make up 0.8125.
    assert_close(draw(top_k=3, top_p=0.8), [0, 0.4, 0.25, 0, 0, 0])


def test_a_forbidden_token_is_never_drawn_however_hot():
    logits = np.log(PROBABILITIES)
    logits[1] = -np.inf
    assert draw(temperature=1e9, logits=logits)[1] == 0.0


def test_steps_draw_independently():
    assert_close(draw(step=1), PROBABILITIES)
    same = [draw(draws=1, step=step).argmax() for step in range(50)]
    assert len(set(same)) > 1
