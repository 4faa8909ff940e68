"""The losses and their fused gradient, held to float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from models.layers import augmented_loss as module
from models.layers.augmented_loss import augmented_loss, token_log_probabilities
from tests.models import reference

VOCABULARY, UNITS, TOKENS = 500, 24, 60
TEMPERATURES = (1.0, 2.0, 10.0, 20.0, 100.0)
# Spread of embedding and hidden states: at initialisation, in training, and where a softmax is all but one-hot.
SCALES = {"flat": 0.1, "usual": 0.6, "peaked": 2.0}


def example(scale, tied, bias=False, vocabulary=VOCABULARY, units=UNITS, tokens=TOKENS):
    """Arrays of a loss: hidden, targets, kernel, bias and table, float32; tied: the kernel is the table."""
    generator = np.random.default_rng(5)

    def uniform(*shape):
        return generator.uniform(-scale, scale, shape).astype(np.float32)

    table, hidden = uniform(vocabulary, units), uniform(tokens, units)
    kernel = table if tied else uniform(vocabulary, units)
    targets = generator.integers(0, vocabulary, tokens).astype(np.int32)
    targets[: tokens // 3] = targets[0]  # a frequent word
    return hidden, targets, kernel, uniform(vocabulary) if bias else None, table


def found(hidden, targets, kernel, bias, table, temperature, gamma, through, tied):
    """Total, J, J_aug and the gradients with respect to hidden, kernel, bias and table (tied: one, of both uses)."""
    hidden, kernel = tf.constant(hidden), tf.constant(kernel)
    bias = None if bias is None else tf.constant(bias)
    table = None if table is None else kernel if tied else tf.constant(table)
    sources = {"hidden": hidden, "kernel": kernel, "bias": bias, "table": None if tied else table}
    sources = {key: value for key, value in sources.items() if value is not None}
    with tf.GradientTape() as tape:
        tape.watch(list(sources.values()))
        total, cross_entropy, augmented = augmented_loss(
            hidden, tf.constant(targets), kernel, bias, table, temperature, gamma, through
        )
    gradients = tape.gradient(total, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return total.numpy(), cross_entropy.numpy(), augmented.numpy(), {k: g.numpy() for k, g in gradients.items()}


def expected(hidden, targets, kernel, bias, table, temperature, gamma, through, tied):
    hidden, kernel = hidden.astype(np.float64), kernel.astype(np.float64)
    table = None if table is None else table.astype(np.float64)
    bias = 0.0 if bias is None else bias.astype(np.float64)
    cross_entropy, augmented = reference.losses(hidden, targets, kernel, bias, table, temperature)
    gradients = reference.loss_gradients(hidden, targets, kernel, bias, table, temperature, gamma, through)
    if tied:
        gradients["kernel"] += gradients["table"]
    return (cross_entropy + gamma * temperature * augmented).sum(), cross_entropy, augmented, gradients


def assert_agrees(case, *options, tolerance=1e-5):
    """Losses agree to `tolerance` of each token's total, all gradients together to `tolerance` of their norm."""
    total, cross_entropy, augmented, gradients = found(*case, *options)
    expected_total, expected_cross_entropy, expected_augmented, expected_gradients = expected(*case, *options)
    temperature, gamma = options[:2]
    each = expected_cross_entropy + gamma * temperature * expected_augmented
    assert total == pytest.approx(expected_total, rel=tolerance)
    np.testing.assert_array_less(np.abs(cross_entropy - expected_cross_entropy), tolerance * each + 1e-12)
    weighted_error = gamma * temperature * np.abs(augmented - expected_augmented)
    np.testing.assert_array_less(weighted_error, tolerance * each + 1e-12)
    assert reference.relative_error(gradients.values(), [expected_gradients[k] for k in gradients]) < tolerance


def test_the_reference_gradients_are_those_of_the_reference_losses():
    hidden, targets, kernel, bias, table = example(0.7, tied=False, bias=True, vocabulary=7, units=3, tokens=5)
    arrays = [x.astype(np.float64) for x in (hidden, kernel, bias, table)]

    def total(arrays, estimate=None):
        hidden, kernel, bias, table = arrays
        table = table if estimate is None else estimate
        cross_entropy, augmented = reference.losses(hidden, targets, kernel, bias, table, 2.0)
        return (cross_entropy + 0.65 * 2.0 * augmented).sum()

    for through, function in ((True, total), (False, lambda arrays: total(arrays, table.astype(np.float64)))):
        derived = reference.loss_gradients(arrays[0], targets, *arrays[1:], 2.0, 0.65, through)
        differentiated = reference.complex_step_gradient(function, arrays)
        for key, gradient in zip(("hidden", "kernel", "bias", "table"), differentiated, strict=True):
            np.testing.assert_allclose(derived[key], gradient, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("through", [False, True], ids=["held", "through"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("spread", SCALES)
def test_losses_and_gradients_are_the_papers(spread, tied, through):
    case = example(SCALES[spread], tied, bias=not tied)
    for temperature in TEMPERATURES:
        assert_agrees(case, temperature, 0.65, through, tied)


@pytest.mark.parametrize("through", [False, True], ids=["held", "through"])
def test_losses_and_gradients_are_the_papers_with_a_vocabulary_of_10000(through):
    case = example(0.1, tied=True, vocabulary=10_000, units=200, tokens=24)
    for temperature in (1.0, 20.0, 100.0):
        assert_agrees(case, temperature, 0.65, through, True)


@pytest.mark.parametrize("through", [False, True], ids=["held", "through"])
def test_losses_and_gradients_are_the_papers_with_a_vocabulary_of_7(through):
    assert_agrees(example(0.6, tied=True, vocabulary=7), 20.0, 0.65, through, True)


def test_in_bfloat16_the_logits_are_exact_sums_of_rounded_operands():
    hidden, targets, kernel, bias, table = example(2.0, tied=False, bias=True)
    tensors = map(tf.constant, (hidden, targets, kernel, bias, table))
    _, cross_entropy, _ = augmented_loss(*tensors, precision="bfloat16")
    rounded = (tf.cast(tf.cast(x, "bfloat16"), "float64").numpy() for x in (hidden, kernel))
    expected_cross_entropy, _ = reference.losses(next(rounded), targets, next(rounded), bias.astype(np.float64))
    np.testing.assert_allclose(cross_entropy, expected_cross_entropy, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("spread", SCALES)
def test_without_a_table_the_loss_is_the_cross_entropy_alone(spread):
    *case, _ = example(SCALES[spread], tied=False, bias=True)
    assert_agrees((*case, None), 1.0, 0.65, False, False)
    assert not found(*case, None, 1.0, 0.65, False, False)[2].any()


def test_gamma_zero_is_the_cross_entropy_alone():
    case = example(0.6, tied=True)
    total, cross_entropy, _, gradients = found(*case, 20.0, 0.0, True, True)
    without = found(*case[:-1], None, 20.0, 0.0, True, False)
    assert total == pytest.approx(without[0], rel=1e-6) == pytest.approx(cross_entropy.sum(), rel=1e-6)
    np.testing.assert_allclose(gradients["kernel"], without[3]["kernel"], atol=1e-6)


def test_the_augmented_loss_vanishes_where_the_prediction_is_the_estimated_target():
    _, targets, _, _, table = example(0.6, tied=True)
    _, _, augmented, _ = found(table[targets], targets, table, None, table, 20.0, 0.65, True, True)
    np.testing.assert_allclose(augmented, 0.0, atol=4 * np.finfo(np.float32).eps)  # of means of exponentials near 1


def test_the_held_target_takes_no_gradient():
    gradients = found(*example(0.6, tied=False), 10.0, 0.65, False, False)[3]
    assert not gradients["table"].any()


def test_the_pull_on_the_logits_is_gamma_whatever_the_temperature():
    """α = γ τ cancels the 1 / τ of the tempered softmax: γ (y^ - y~), which is seen where the bias is."""
    case = example(0.6, tied=False, bias=True)
    hidden, targets, kernel, bias, table = (x.astype(np.float64) if x.dtype == np.float32 else x for x in case)
    for temperature in TEMPERATURES:
        with_pull = found(*case, temperature, 0.65, False, False)[3]["bias"]
        without = found(*case[:-1], None, temperature, 0.65, False, False)[3]["bias"]
        predicted = np.exp(reference.log_softmax((hidden @ kernel.T + bias) / temperature))
        estimated = np.exp(reference.log_softmax(table[targets] @ table.T / temperature))
        rounding = 2 * np.finfo(np.float32).eps * np.abs(without).max()  # of either sum, one taken from the other
        np.testing.assert_allclose(with_pull - without, 0.65 * (predicted - estimated).sum(axis=0), atol=rounding)


@pytest.mark.parametrize("through", [False, True], ids=["held", "through"])
def test_logits_of_ten_thousand_do_not_overflow(through):
    hidden, targets, _, _, table = example(1.0, tied=True)
    table = 100.0 * table / np.linalg.norm(table, axis=1, keepdims=True)
    hidden = 100.0 * hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    hidden[:10] = table[:10] * np.where(np.arange(10) % 2, 1.0, -1.0)[:, None]  # logits of +-1e4
    assert np.abs(hidden @ table.T).max() == pytest.approx(1e4, rel=1e-5)
    case = hidden, targets, table, None, table
    for temperature in (1.0, 20.0):
        total, *parts, gradients = found(*case, temperature, 0.65, through, True)
        expected_total, _, _, expected_gradients = expected(*case, temperature, 0.65, through, True)
        assert all(np.isfinite(x).all() for x in (*parts, *gradients.values()))
        assert total == pytest.approx(expected_total, rel=1e-5)
        # A float32 logit of 1e4 is known to 5e-4.
        assert reference.relative_error(gradients.values(), [expected_gradients[k] for k in gradients]) < 1e-3


def test_the_result_does_not_depend_on_how_many_rows_are_held_at_a_time(monkeypatch):
    case = example(0.6, tied=False, bias=True)
    whole = found(*case, 20.0, 0.65, True, False)
    monkeypatch.setattr(module, "MAX_LOGITS", 40 * VOCABULARY)  # 60 tokens: a chunk of 40 and one of 20
    chunked = found(*case, 20.0, 0.65, True, False)
    assert chunked[0] == pytest.approx(whole[0], rel=1e-6)
    np.testing.assert_allclose(chunked[1], whole[1], rtol=1e-6)
    np.testing.assert_allclose(chunked[2], whole[2], atol=5e-7)
    for key, gradient in whole[3].items():
        np.testing.assert_allclose(chunked[3][key], gradient, rtol=1e-4, atol=2e-6)


def test_upstream_gradients_scale_the_whole_gradient():
    hidden, targets, kernel, bias, table = map(tf.constant, example(0.6, tied=False, bias=True))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(hidden)
        total, *_ = augmented_loss(hidden, targets, kernel, bias, table)
        third = total / 3.0
    np.testing.assert_allclose(3.0 * tape.gradient(third, hidden), tape.gradient(total, hidden), rtol=1e-5, atol=1e-7)


def test_tokens_are_scored_at_temperature_one():
    hidden, targets, kernel, _, _ = example(2.0, tied=False)
    scores = token_log_probabilities(tf.constant(hidden @ kernel.T), tf.constant(targets))
    expected_scores, _ = reference.losses(hidden.astype(np.float64), targets, kernel.astype(np.float64))
    np.testing.assert_allclose(scores, -expected_scores, rtol=1e-5, atol=1e-6)


def test_the_number_of_tokens_may_be_unknown_until_the_graph_runs():
    hidden, targets, kernel, bias, table = example(0.6, tied=False, bias=True)

    @tf.function(input_signature=[tf.TensorSpec([None, UNITS]), tf.TensorSpec([None], tf.int32)])
    def total(hidden, targets):
        return augmented_loss(hidden, targets, tf.constant(kernel), None, tf.constant(table))[:2]

    whole = found(hidden, targets, kernel, None, table, 20.0, 0.65, False, False)
    assert total(hidden, targets)[0].numpy() == pytest.approx(whole[0], rel=1e-6)
    np.testing.assert_allclose(total(hidden, targets)[1], whole[1], rtol=1e-5)
