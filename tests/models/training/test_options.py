"""The options of training, each by its effect on the loss, the gradient or the weights of real steps."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.settings import Recipe
from models.text.windows import windows
from models.training.resumable import Training, compile_model
from models.training.schedules import Schedule
from tests.models import reference
from tests.models.training.training_run import VOCABULARY, EachStep, make_model, some_text, write_split

BATCH, TIME, STEPS = 4, 5, 6  # steps of an epoch


def one_layer(strategy, **options):
    return make_model(strategy, num_layers=1, **options)


def first_window(splits):
    inputs, targets, _ = next(iter(windows(splits[0], BATCH, TIME)))
    return inputs["token_ids"], targets


def window_gradients(model, splits, state):
    """Gradients and the sums of cross-entropy and augmented loss of the first window, without dropout."""

    @tf.function(autograph=False)
    def gradients(ids, targets, state):
        return model.window_gradients(ids, targets, tf.ones([BATCH, TIME]), state)[:2]

    return gradients(*first_window(splits), tf.constant(state, tf.float32))


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("splits")
    train = write_split(folder / "train", some_text(BATCH * TIME * STEPS))
    return train, write_split(folder / "valid", some_text(30, seed=2))


class Tables(keras.callbacks.Callback):
    """The embedding and its copy after each step."""

    def __init__(self):
        super().__init__()
        self.tables, self.targets = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.tables.append(self.model.embedding.embeddings.numpy())
        if self.model.target_table is not None:
            self.targets.append(self.model.target_table.numpy())


@pytest.fixture
def trained(strategy, splits, tmp_path):
    """Trains and returns (training, metrics of each step, embedding after each step, target table after each).

    The metrics are cross-entropy and augmented loss, summed over the window, and the gradient's norm.
    """

    def train(model_options=None, folder=None, **recipe):
        for name in ("temperature", "gamma"):
            if isinstance(ramp := recipe.get(name), Schedule):
                values = dataclasses.asdict(ramp)
                recipe |= {name: values.pop("end"), f"{name}_schedule": values}
        recipe = Recipe(**{"batch_size": BATCH, "sequence_length": TIME, "epochs": 1, "learning_rate": 0.5} | recipe)
        model = one_layer(strategy, **(model_options or {}))
        compile_model(model, recipe)
        folder = folder or tmp_path / f"run {len(list(tmp_path.iterdir()))}"
        tables, each_step = Tables(), EachStep()
        # Last: it resets the metrics, whose epoch is of no use here.
        training = Training(model, *splits, recipe, folder, [tables, each_step])
        before = model.embedding.embeddings.numpy()
        training.run()
        sums = [each_step[name] * BATCH * TIME for name in ("loss", "augmented_loss")]
        metrics = np.stack([*sums, each_step["gradient_norm"]], axis=1)
        return training, metrics, np.array([before, *tables.tables]), np.array(tables.targets)

    return train


def reference_losses(splits, strategy, step, temperature):
    """J and J_aug summed over window `step` of an untrained model, in NumPy, at a temperature."""
    model = reference.ReferenceModel(one_layer(strategy))
    state = model.zero_state(BATCH)
    for inputs, targets, _ in windows(splits[0], BATCH, TIME).take(step + 1):
        ids = inputs["token_ids"].numpy(), targets.numpy()
        cross_entropy, augmented, state = model.window(*ids, state, table=model.weights[0], temperature=temperature)
    return cross_entropy.sum(), augmented.sum()


@pytest.mark.parametrize(
    "schedule, temperatures",
    [
        (None, [5.0] * STEPS),
        (Schedule(end=5.0, start=1.0, length=4, unit="steps"), [1, 2, 3, 4, 5, 5]),
        (Schedule(end=4.0, start=1.0, shape="exponential", length=2, unit="steps"), [1, 2, 4, 4, 4, 4]),
        (Schedule(end=7.0, start=1.0), [1, 2, 3, 4, 5, 6]),
    ],
    ids=["constant", "linear", "exponential", "epochs"],
)
def test_each_step_has_the_augmented_loss_of_its_temperature(schedule, temperatures, trained, splits, strategy):
    """At learning rate 0 only the schedule makes a difference between steps."""
    ramp = {"temperature": schedule} if schedule else {}
    _, metrics, *_ = trained(**ramp, learning_rate=1e-30)
    expected = np.array([reference_losses(splits, strategy, step, tau) for step, tau in enumerate(temperatures)])
    np.testing.assert_allclose(metrics[:, 0], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(metrics[:, 1], expected[:, 1], rtol=1e-3)  # it falls with the square of τ


def test_gamma_warms_up_from_the_cross_entropy_alone(trained):
    """The first update is that of a model without augmented loss, the second one is not."""
    ramp = Schedule(end=0.65, start=0.0, length=2, unit="steps")
    _, warm, warm_tables, _ = trained(gamma=ramp)
    _, plain, plain_tables, _ = trained({"augmented": False})
    np.testing.assert_allclose(warm_tables[1], plain_tables[1], atol=1e-6)
    assert warm[0, 2] == pytest.approx(plain[0, 2], rel=1e-5)
    assert np.abs(warm_tables[2] - plain_tables[2]).max() > 5e-5


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.2])
def test_the_gradient_is_that_of_the_scheduled_gamma(gamma, trained, splits, strategy):
    _, metrics, *_ = trained(gamma=Schedule(end=0.65, start=gamma, length=5, unit="steps"), learning_rate=1e-30)
    model = one_layer(strategy)
    model.set_loss_weights(gamma=gamma)
    gradients, _ = window_gradients(model, splits, model.zero_state(BATCH))
    assert metrics[0, 2] == pytest.approx(float(tf.linalg.global_norm(gradients)) / BATCH, rel=1e-5)


def test_a_held_target_changes_only_at_every_interval(trained):
    _, _, tables, targets = trained({"target": "held"}, target_interval=3, epochs=2)
    source = [0, 0, 3, 3, 3, 6, 6, 6, 9, 9, 9, 12]  # the embedding after so many steps
    for step, steps in enumerate(source):
        np.testing.assert_allclose(targets[step], tables[steps], atol=1e-6)
        assert step == 0 or np.abs(tables[step] - tables[step - 1]).max() > 1e-4


def test_an_average_target_keeps_its_share_of_itself_at_every_step(trained):
    _, _, tables, targets = trained({"target": "average"}, target_decay=0.8)
    expected = tables[0]
    for step, found in enumerate(targets):
        expected = 0.8 * expected + 0.2 * tables[step + 1]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("target", ["held", "average"])
def test_a_copied_target_is_used_instead_of_the_embedding(target, splits, strategy):
    model = one_layer(strategy, target=target)
    table = np.random.default_rng(5).normal(size=model.target_table.shape).astype(np.float32)
    model.target_table.assign(table)
    numpy_model = reference.ReferenceModel(model)
    inputs, targets = (x.numpy() for x in first_window(splits))
    state = np.zeros([BATCH, 1, 2, model.units])
    _, sums = window_gradients(model, splits, state)
    _, augmented, _ = numpy_model.window(inputs, targets, state, table=table.astype(np.float64), temperature=5.0)
    _, of_embedding, _ = numpy_model.window(inputs, targets, state, table=numpy_model.weights[0], temperature=5.0)
    assert float(sums[1]) == pytest.approx(augmented.sum(), rel=1e-5)
    assert abs(augmented.sum() / of_embedding.sum() - 1) > 0.1


@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
def test_a_frozen_embedding_does_not_move_for_its_epochs_and_then_does(tie_embeddings, trained):
    training, _, tables, _ = trained({"tie_embeddings": tie_embeddings}, epochs=3, freeze_embedding_epochs=2)
    frozen = 2 * training.steps
    for table in tables[: frozen + 1]:
        np.testing.assert_array_equal(table, tables[0])
    for before, after in zip(tables[frozen:], tables[frozen + 1 :], strict=False):
        assert np.abs(after - before).max() > 1e-4


def test_the_other_weights_train_while_the_embedding_is_frozen(trained, strategy):
    training, *_ = trained({"tie_embeddings": False}, freeze_embedding_epochs=1)
    initial = one_layer(strategy, tie_embeddings=False).get_weights()
    moved = [np.abs(a - b).max() > 1e-4 for a, b in zip(training.model.get_weights(), initial, strict=True)]
    assert moved == [False, *[True] * (len(moved) - 1)]


def test_a_frozen_embedding_has_no_share_in_the_clipped_norm(trained):
    _, frozen, *_ = trained(freeze_embedding_epochs=1, learning_rate=1e-30)
    _, free, *_ = trained(learning_rate=1e-30)
    assert (frozen[:, 2] < 0.99 * free[:, 2]).all()


def test_the_gradient_through_the_target_moves_words_that_no_input_reads(trained, splits):
    """Untied and without it, the embedding's rows have a gradient from the inputs alone."""
    inputs = np.unique(first_window(splits)[0])
    others = np.setdiff1d(np.arange(VOCABULARY), inputs)
    options = {"tie_embeddings": False}
    _, stopped, stopped_tables, _ = trained(options | {"gradient_through_target": False})
    _, through, through_tables, _ = trained(options | {"gradient_through_target": True})
    np.testing.assert_array_equal(stopped_tables[1][others], stopped_tables[0][others])
    assert (np.abs(through_tables[1] - through_tables[0])[others].max(axis=1) > 0).all()
    np.testing.assert_allclose(through[0, 0], stopped[0, 0], rtol=1e-6)  # the same losses
    np.testing.assert_allclose(through[0, 1], stopped[0, 1], rtol=1e-5)  # summed in the order of the words


def test_options_count_steps_and_epochs_from_the_start_of_an_interrupted_training(trained, tmp_path):
    """One epoch, then two more from its checkpoint, are as good as three at once."""
    options = {
        "temperature": Schedule(end=5.0, start=2.0, length=3.0),
        "gamma": Schedule(end=0.65, start=0.0, length=2.0),
        "target_interval": 4,
        "freeze_embedding_epochs": 2,
    }
    model = {"target": "held"}
    _, metrics, tables, targets = trained(model, epochs=3, **options)
    trained(model, folder=tmp_path / "interrupted", epochs=1, **options)
    _, later_metrics, later_tables, later_targets = trained(model, folder=tmp_path / "interrupted", epochs=3, **options)
    np.testing.assert_array_equal(later_metrics, metrics[STEPS:])
    np.testing.assert_array_equal(later_tables[1:], tables[STEPS + 1 :])
    np.testing.assert_array_equal(later_targets, targets[STEPS:])
