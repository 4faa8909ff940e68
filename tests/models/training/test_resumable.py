"""Training by fit: the paper's update, state carried over windows and reset between epochs, and where it stops."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.settings import Recipe
from models.text.windows import windows
from models.training.callbacks import AverageWeights, TrainingDiverged
from models.training.resumable import Training
from models.training.resumable_epochs import TrainingStopped
from tests.models import reference
from tests.models.training.training_run import VOCABULARY, EachStep, make_model, some_text, write_split

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


@pytest.mark.parametrize("clip_norm", [0.1, 1e6], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("weight_decay", [None, 0.02])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_an_update_is_sgd_on_the_loss_summed_over_steps_and_averaged_over_the_batch(
    strategy, splits, clip_norm, optimizer, weight_decay
):
    options = {"momentum": 0.0} if optimizer == "momentum" else {}  # Keras's own SGD
    options["weight_decay"] = weight_decay
    recipe = make_recipe(clip_norm=clip_norm, learning_rate=0.7, optimizer=optimizer, **options)
    model, seen = make_model(strategy, recipe, units=4, num_layers=1), EachStep()
    numpy_model = reference.ReferenceModel(model)
    data = windows(splits[0], BATCH, TIME).take(1)
    [(inputs, targets, _)] = data
    model.fit(data, callbacks=[seen], verbose=0)
    masks, state = np.ones([2, 1, 1]), numpy_model.zero_state(BATCH)
    ids = inputs["token_ids"].numpy(), targets.numpy()
    gradients = [g / BATCH for g in numpy_model.gradients(*ids, state, masks, True, 5.0, 0.65, True)]
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
    assert seen["gradient_norm"][0] == pytest.approx(norm, rel=1e-5)
    assert norm > 0.2  # the clip has something to do
    for weight, before, gradient in zip(model.trainable_variables, numpy_model.weights, gradients, strict=True):
        expected = before - 0.7 * (min(1.0, clip_norm / norm) * gradient + (weight_decay or 0.0) * before)
        np.testing.assert_allclose(weight, expected, atol=1e-6)


def test_the_learning_rate_decays_after_its_start_epoch():
    recipe = Recipe(learning_rate=1.0, decay=0.9, decay_start_epoch=5)
    assert [recipe.learning_rate_of(e) for e in (1, 5, 6, 8)] == pytest.approx([1.0, 1.0, 0.9, 0.9**3])


@pytest.fixture(scope="module")
def still(strategy, splits, tmp_path_factory):
    """Two epochs at learning rate 0, so that every figure is one of the initial weights; and those weights."""
    recipe = make_recipe(epochs=2, learning_rate=1e-30)
    model = make_model(strategy, recipe)
    numpy_model = reference.ReferenceModel(model)
    training = Training(model, *splits, recipe, tmp_path_factory.mktemp("still"))
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
    assert abs(forgetful.mean() - carried.mean()) > 1e-4  # so the comparison above detects it


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


class Seen(keras.callbacks.Callback):
    """The records of a training, as they are when each epoch ends, and the steps done then."""

    def __init__(self):
        super().__init__()
        self.records = []

    def on_epoch_end(self, epoch, logs=None):
        self.records.append(self.training.history[-1])


@pytest.fixture(scope="module")
def run(strategy, splits, tmp_path_factory):
    """Eight epochs at most, patience 2, with a valid split that is unlike the training text, so that training hurts."""
    folder = tmp_path_factory.mktemp("run")
    unlike = write_split(folder / "valid", VOCABULARY - 1 - some_text(50, seed=2))
    options = {"epochs": 8, "learning_rate": 2.0, "decay": 0.9, "decay_start_epoch": 1, "clip_norm": 1.0, "patience": 2}
    recipe, seen = make_recipe(**options), Seen()
    model = make_model(strategy, recipe, dropout=0.2)
    training = seen.training = Training(model, splits[0], unlike, recipe, folder / "checkpoints", [seen])
    training.run()
    return training, seen.records, folder / "checkpoints"


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
    training, records, _ = run
    assert records == training.history
    assert [r["epoch"] for r in records] == list(range(1, len(records) + 1))
    assert [r["learning_rate"] for r in records] == pytest.approx([2.0 * 0.9**i for i in range(len(records))])
    assert all(0 < r["clipped"] <= 1 and r["gradient_norm"] > 0 and r["tokens_per_second"] > 0 for r in records)


def test_a_finished_training_that_is_started_again_is_finished(run, strategy, splits):
    training, _, folder = run
    model = make_model(strategy, training.recipe)
    again = Training(model, splits[0], training.valid, training.recipe, folder, [Seen()])
    assert again.run() == training.history
    for found, expected in zip(again.model.get_weights(), training.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_averaged_weights_are_what_is_validated_and_kept(strategy, splits, tmp_path):
    """Against a plain moving average of the weights after each step; training itself is not changed by it."""
    recipe = make_recipe(epochs=2, learning_rate=0.5, ema=0.8, checkpoint_seconds=1e-9)
    model, after = make_model(strategy, recipe, num_layers=1), []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: after.append(model.get_weights()))
    training = Training(model, *splits, recipe, tmp_path / "averaged", [watch])
    training.run()
    plain, plain_after = make_model(strategy, make_recipe(epochs=2, learning_rate=0.5), num_layers=1), []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: plain_after.append(plain.get_weights())
    )
    Training(plain, *splits, make_recipe(epochs=2, learning_rate=0.5), tmp_path / "plain", [watch]).run()
    average = after[0]
    averages = []
    for weights in after:
        average = [0.8 * a + 0.2 * w for a, w in zip(average, weights, strict=True)]
        averages.append(average)
    for found, expected in zip(after[-1], plain_after[-1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    best = averages[training.best_epoch * training.steps - 1]
    for found, expected in zip(model.get_weights(), best, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    perplexity = np.exp(reference.ReferenceModel(model).cross_entropies(splits[1][:]).mean())
    assert perplexity == pytest.approx(min(r["valid_perplexity"] for r in training.history), rel=1e-5)


def test_weights_are_averaged_after_the_valid_perplexity_stops_falling(strategy, splits, tmp_path):
    """Against plain means of the weights after each step; and the same in a training that is stopped and resumed."""
    noise = np.random.default_rng(3).integers(0, VOCABULARY, 200)
    data = splits[0], write_split(tmp_path / "valid", noise)  # gets worse from epoch to epoch: averaged from epoch 4 on
    recipe = make_recipe(epochs=5, learning_rate=0.5, average_patience=1, checkpoint_seconds=1e-9)

    def train(folder, stop_at=None):
        model, after = make_model(strategy, recipe, num_layers=1), []
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: after.append(model.get_weights()))
        training = Training(
            model,
            *data,
            recipe,
            tmp_path / folder,
            [watch],
            lambda: (len(training.history), training.window) == stop_at,
        )
        return training, after

    training, after = train("whole")
    training.run()
    found = [record["valid_perplexity"] for record in training.history]
    assert found[0] < found[1] < found[2]
    steps, numpy_model = training.steps, reference.ReferenceModel(training.model)
    for epoch, perplexity in enumerate(found):
        first = 3 * steps if epoch >= 3 else (epoch + 1) * steps - 1
        weights = [np.mean(w, axis=0, dtype=np.float64) for w in zip(*after[first : (epoch + 1) * steps], strict=True)]
        numpy_model.weights = weights
        assert perplexity == pytest.approx(np.exp(numpy_model.cross_entropies(noise).mean()), rel=1e-5)

    with pytest.raises(TrainingStopped):
        train("stopped", stop_at=(4, 3))[0].run()
    resumed = train("stopped")[0]
    assert (len(resumed.history), resumed.window) == (4, 3)
    resumed.run()
    assert [record["valid_perplexity"] for record in resumed.history] == found


@pytest.mark.parametrize("options", [{"ema": 0.8}, {"average_patience": 1}])
def test_averages_of_a_training_whose_embedding_is_frozen(strategy, splits, tmp_path, options):
    """`fit` ends within the frozen epochs, once by a stop and once at its end."""
    recipe = make_recipe(epochs=2, freeze_embedding_epochs=2, checkpoint_seconds=1e-9, **options)

    def train(folder, stop_at=None):
        model = make_model(strategy, recipe, num_layers=1)
        stop = lambda: (len(training.history), training.window) == stop_at  # noqa: E731
        training = Training(model, *splits, recipe, tmp_path / folder, [], stop)
        return training

    training = train("whole")
    before = training.model.embedding.embeddings.numpy()
    training.run()
    np.testing.assert_array_equal(training.model.embedding.embeddings, before)
    training.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.embedding.embeddings, before)

    with pytest.raises(TrainingStopped):
        training = train("stopped", stop_at=(0, 3))
        training.run()
    training = train("stopped")
    assert training.window == 3
    training.run()
    for found, expected in zip(training.model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_averaging_starts_where_the_publication_starts_it():
    start = AverageWeights.epochs_before_averaging
    assert start([9, 8, 7, 6, 5], 2) is start([], 2) is start([9, 10, 11], 2) is None
    assert start([9, 8, 8.5, 9.5], 2) == 4  # worse than the first, which ended more than two epochs before
    assert start([9, 8, 8.5, 8.6, 7, 8.1], 2) == 6  # 8.6 is not worse than 9


def test_a_loss_that_is_not_finite_stops_training_with_step_and_figure(strategy, splits, tmp_path_factory):
    """A word whose vector is not finite spoils the step that first reads it: the message names that one."""
    folder = tmp_path_factory.mktemp("diverged")
    model = make_model(strategy, make_recipe(), tie_embeddings=False, augmented=False)
    inputs = np.concatenate([x["token_ids"] for x, *_ in windows(splits[0], BATCH, TIME)], axis=1)[:, :33]
    first_step = {word: np.argwhere(inputs == word)[:, 1].min() // TIME for word in np.unique(inputs)}
    word = next(word for word, step in first_step.items() if step == 3)
    vectors = model.embedding.embeddings.numpy()
    vectors[word] = np.nan
    model.embedding.embeddings.assign(vectors)
    with pytest.raises(TrainingDiverged, match="Training diverged: the cross-entropy of step 4 is nan"):
        Training(model, *splits, make_recipe(), folder).run()
    assert not list(folder.iterdir())  # no checkpoint of spoiled weights


def test_a_model_that_is_far_worse_than_a_uniform_one_has_diverged(strategy, splits, tmp_path):
    recipe = make_recipe(learning_rate=500.0, clip_norm=1e6)
    with pytest.raises(
        TrainingDiverged, match="Training diverged: the (loss on the validation data after epoch 1|cross-en)"
    ):
        Training(make_model(strategy, recipe), *splits, recipe, tmp_path).run()


def test_a_batch_that_does_not_divide_among_the_replicas_is_refused(splits, tmp_path):
    three = types.SimpleNamespace(distribute_strategy=types.SimpleNamespace(num_replicas_in_sync=3))
    with pytest.raises(ValueError, match="the batch_size of its windows, 4, does not divide among 3 replicas"):
        Training(three, *splits, make_recipe(), tmp_path)


def test_a_split_shorter_than_one_window_of_every_lane_is_refused(strategy, splits, tmp_path):
    with pytest.raises(ValueError, match="found 135 tokens, .* batch_size 4 x sequence_length 40 = 160"):
        Training(make_model(strategy, make_recipe()), *splits, make_recipe(sequence_length=40), tmp_path)
