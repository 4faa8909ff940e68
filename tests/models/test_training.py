"""The training loop: the paper's update, state carried over windows and reset between epochs, and where it stops."""

import types

import numpy as np
import pytest
import tensorflow as tf

from models.distributed_step import make_step
from models.recipe import Recipe
from models.token_stream import Lanes
from models.training import Training, TrainingDiverged, windows
from tests.models import reference
from tests.models.training_run import VOCABULARY, make_model, some_text, write_split

BATCH, TIME = 4, 5


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Train: 4 lanes of 33 tokens (6 windows of 5 and one of 3), 3 left over; valid: 50 tokens."""
    folder = tmp_path_factory.mktemp("splits")
    train = write_split(folder / "train", some_text(BATCH * 33 + 3))
    return train, write_split(folder / "valid", some_text(50, seed=2))


def make_recipe(**options):
    return Recipe(**{"batch_size": BATCH, "sequence_length": TIME, "epochs": 1, **options})


def scalars(**options):
    usual = {"learning_rate": 1.0, "temperature": 5.0, "gamma": 0.65, "embedding_rate": 1.0, "target_rate": 0.0}
    return {key: tf.constant(value, tf.float32) for key, value in {**usual, **options}.items()}


@pytest.mark.parametrize("clip_norm", [0.1, 1e6], ids=["clipped", "unclipped"])
def test_an_update_is_sgd_on_the_loss_summed_over_steps_and_averaged_over_the_batch(strategy, splits, clip_norm):
    model = make_model(strategy, units=4, num_layers=1)
    numpy_model, state = reference.ReferenceModel(model), model.zero_state(BATCH)
    step = make_step(model, strategy, make_recipe(clip_norm=clip_norm))
    inputs, targets = Lanes(splits[0], BATCH).window(0, TIME)
    _, metrics = step(inputs, targets, state, tf.constant(0), scalars(learning_rate=0.7))
    masks = np.ones([2, 1, 1])
    sums = numpy_model.gradients(inputs, targets, state.numpy(), masks, True, 5.0, 0.65, False)
    gradients = [g / BATCH for g in sums]
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    assert float(metrics[2]) == pytest.approx(norm, rel=1e-5)
    assert norm > 0.2  # the clip has something to do
    for weight, before, gradient in zip(model.trainable_variables, numpy_model.weights, gradients, strict=True):
        expected = before - 0.7 * min(1.0, clip_norm / norm) * gradient
        np.testing.assert_allclose(weight, expected, atol=1e-6)


def test_the_learning_rate_decays_after_its_start_epoch():
    recipe = Recipe(learning_rate=1.0, decay=0.9, decay_start_epoch=5)
    assert [recipe.learning_rate_of(e) for e in (1, 5, 6, 8)] == pytest.approx([1.0, 1.0, 0.9, 0.9**3])


def test_windows_cover_every_token_of_every_lane_once_and_start_anywhere(splits):
    lanes = Lanes(splits[0], BATCH)
    whole = [targets.numpy() for _, targets in windows(lanes, TIME)]
    np.testing.assert_array_equal(np.concatenate(whole, axis=1).reshape(-1), splits[0][: BATCH * 33])
    later = [targets.numpy() for _, targets in windows(lanes, TIME, first=4)]
    assert [t.shape[1] for t in later] == [5, 5, 3]
    np.testing.assert_array_equal(later[0], whole[4])


@pytest.fixture(scope="module")
def still(strategy, splits, tmp_path_factory):
    """Two epochs at learning rate 0, so that every figure is one of the initial weights; and those weights."""
    model = make_model(strategy)
    numpy_model = reference.ReferenceModel(model)
    recipe = make_recipe(epochs=2, learning_rate=0.0)
    training = Training(model, strategy, *splits, recipe, tmp_path_factory.mktemp("still"))
    training.run()
    return training, numpy_model


def lanes_of(stream):
    """Inputs and targets of all lanes: each token from the one before it in the stream, the first from `<eos>`."""
    targets = stream[: BATCH * 33]
    inputs = np.concatenate([[reference.EOS_ID], targets[:-1]])
    return inputs.reshape(BATCH, 33), targets.reshape(BATCH, 33)


def test_the_state_is_carried_over_the_windows_of_an_epoch(still, splits):
    """Seven windows have the losses of lanes that are read in one piece."""
    training, numpy_model = still
    (inputs, targets), zeros = lanes_of(splits[0]), numpy_model.zero_state(BATCH)
    cross_entropy, augmented, _ = numpy_model.window(inputs, targets, zeros, None, numpy_model.weights[0], 5.0)
    record = training.history[0]
    assert record["cross_entropy"] == pytest.approx(cross_entropy.mean(), abs=1e-6)
    assert record["augmented_loss"] == pytest.approx(augmented.mean(), abs=1e-6)
    assert record["train_perplexity"] == pytest.approx(np.exp(cross_entropy.mean()), rel=1e-6)
    second = slice(TIME, 2 * TIME)
    forgetful, *_ = numpy_model.window(inputs[:, second], targets[:, second], zeros)
    carried = cross_entropy.reshape(33, BATCH)[second]
    assert abs(forgetful.mean() - carried.mean()) > 1e-4  # the comparison can tell


def test_the_state_is_reset_at_the_start_of_each_epoch(still):
    first, second = (
        {key: r[key] for key in ("cross_entropy", "augmented_loss", "valid_perplexity")} for r in still[0].history
    )
    assert first == second


def test_validation_starts_from_the_zero_state_and_leaves_training_alone(still, splits):
    training, numpy_model = still
    expected = np.exp(numpy_model.cross_entropies(splits[1][:]).mean())
    assert [r["valid_perplexity"] for r in training.history] == pytest.approx([expected] * 2, rel=1e-6)


def test_the_first_of_equally_good_epochs_is_the_best(still):
    assert still[0].best_epoch == 1


def test_tokens_that_are_in_no_lane_are_counted(still):
    assert (still[0].steps, still[0].left_over) == (7, 3)


@pytest.fixture(scope="module")
def run(strategy, splits, tmp_path_factory):
    """Eight epochs at most, patience 2, with a valid split that is unlike the training text, so that training hurts."""
    folder = tmp_path_factory.mktemp("run")
    unlike = write_split(folder / "valid", VOCABULARY - 1 - some_text(50, seed=2))
    records, steps = [], []
    training = Training(
        make_model(strategy, dropout=0.2),
        strategy,
        splits[0],
        unlike,
        make_recipe(epochs=8, learning_rate=2.0, decay=0.9, decay_start_epoch=1, clip_norm=1.0, patience=2),
        folder / "checkpoints",
        on_epoch=records.append,
        on_step=lambda *args: steps.append(args),
    )
    training.run()
    return training, records, steps


def test_training_learns(run):
    perplexities = [r["train_perplexity"] for r in run[0].history]
    assert perplexities[0] < 1.3 * VOCABULARY and perplexities[-1] < 0.9 * perplexities[0]


def test_training_stops_when_patience_ends(run):
    training, *_ = run
    assert len(training.history) == training.best_epoch + 2 < 8


def test_the_model_ends_with_the_weights_of_its_best_epoch(run):
    training, *_ = run
    best = training.history[training.best_epoch - 1]["valid_perplexity"]
    assert best == min(r["valid_perplexity"] for r in training.history)
    found = np.exp(reference.ReferenceModel(training.model).cross_entropies(training.valid[:]).mean())
    assert found == pytest.approx(best, rel=1e-6)


def test_each_epoch_is_reported_as_soon_as_it_is_complete(run):
    training, records, steps = run
    assert records == training.history
    assert [r["epoch"] for r in records] == list(range(1, len(records) + 1))
    assert [r["learning_rate"] for r in records] == pytest.approx([2.0 * 0.9**i for i in range(len(records))])
    assert all(0 < r["clipped"] <= 1 and r["gradient_norm"] > 0 and r["tokens_per_second"] > 0 for r in records)
    assert [step[:3] for step in steps] == [(epoch, 7, 7) for epoch in range(1, len(records) + 1)]


def test_a_finished_training_that_is_started_again_is_finished(run, strategy, splits):
    training, *_ = run
    again = Training(
        make_model(strategy),
        strategy,
        splits[0],
        training.valid,
        training.recipe,
        training.checkpoint.folder,
        on_epoch=pytest.fail,
    )
    assert again.run() == training.history
    for found, expected in zip(again.model.get_weights(), training.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_loss_that_is_not_finite_stops_training_with_step_component_and_likely_cause(
    strategy, splits, tmp_path_factory
):
    """A word whose vector is not finite spoils the step that first reads it: the message names that one."""
    folder = tmp_path_factory.mktemp("diverged")
    model = make_model(strategy, tie_embeddings=False, augmented=False)
    inputs = np.concatenate([x for x, _ in windows(Lanes(splits[0], BATCH), TIME)], axis=1)
    first_step = {word: np.argwhere(inputs == word)[:, 1].min() // TIME for word in np.unique(inputs)}
    word = next(word for word, step in first_step.items() if step == 3)
    vectors = model.embedding.embeddings.numpy()
    vectors[word] = np.nan
    model.embedding.embeddings.assign(vectors)
    with pytest.raises(TrainingDiverged) as error:
        Training(model, strategy, *splits, make_recipe(), folder).run()
    assert "Trainer: the cross-entropy of step 4 is nan" in str(error.value)
    assert "trainer.learning_rate 1.0" in str(error.value) and "trainer.clip_norm 5.0" in str(error.value)
    assert not list(folder.iterdir())  # no checkpoint of spoiled weights


def test_a_batch_that_does_not_divide_among_the_replicas_is_refused(splits, tmp_path):
    three = types.SimpleNamespace(num_replicas_in_sync=3)
    with pytest.raises(ValueError, match="trainer.batch_size is 4, which does not divide among 3 replicas"):
        Training(None, three, *splits, make_recipe(), tmp_path)


def test_a_split_shorter_than_one_window_of_every_lane_is_refused(strategy, splits, tmp_path):
    with pytest.raises(ValueError, match=r"has 135 tokens, .* 4 x trainer.sequence_length 40 = 160"):
        Training(None, strategy, *splits, make_recipe(sequence_length=40), tmp_path)


@pytest.mark.parametrize(
    "target, rate, share", [("held", 0.0, 0.0), ("held", 1.0, 1.0), ("average", 0.1, 0.1)], ids=str
)
def test_a_copied_target_embedding_follows_the_embedding_at_its_rate(strategy, splits, target, rate, share):
    model = make_model(strategy, target=target, num_layers=1)
    before = model.target_table.numpy()
    step = make_step(model, strategy, make_recipe())
    window = Lanes(splits[0], BATCH).window(0, TIME)
    step(*window, model.zero_state(BATCH), tf.constant(0), scalars(target_rate=rate))
    after = model.embedding.embeddings.numpy()
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(model.target_table, before + share * (after - before), atol=1e-6)
