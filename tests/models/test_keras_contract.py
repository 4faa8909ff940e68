"""`LanguageModel` as a Keras user uses it: compile, fit, evaluate, predict, callbacks, saving, and what is refused."""

import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import LanguageModel, OnePassSGD, TargetEmbedding, TokenStream, windows
from models.settings import Recipe
from models.training.resumable import Training, compile_model
from tests.models import reference
from tests.models.training.training_run import VOCABULARY, some_text, write_split

ROOT = Path(__file__).parents[2]
BATCH, TIME, STEPS = 4, 5, 6
TEXT, VALID = some_text(BATCH * TIME * STEPS), some_text(90, seed=2)


def make(optimizer=None, seed=1, compiled=True, **options):
    keras.utils.set_random_seed(seed)
    model = LanguageModel(VOCABULARY, **{"units": 8, "init_scale": 0.4, "temperature": 5.0, "dropout": 0.3} | options)
    if compiled:
        model.compile(optimizer or keras.optimizers.SGD(0.5, global_clipnorm=1.0))
    return model


def train():
    return windows(TEXT, BATCH, TIME)


def valid(length=30):
    return windows(VALID, 1, length)


def same(model, other, **tolerance):
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **{"atol": 0, "rtol": 0} | tolerance)


def test_the_script_of_the_documentation(tmp_path):
    write_split(tmp_path / "Split-train", TEXT)
    write_split(tmp_path / "Split-eval", VALID)
    train = windows(TokenStream(tmp_path / "Split-train"), batch_size=4, sequence_length=5)
    valid = windows(TokenStream(tmp_path / "Split-eval"), batch_size=1, sequence_length=30)
    model = LanguageModel(
        vocabulary_size=VOCABULARY, units=20, dropout=0.3, augmented=True, temperature=20.0, gamma=0.65
    )
    model.compile(optimizer=keras.optimizers.SGD(1.0, global_clipnorm=5.0))
    history = model.fit(train, validation_data=valid, epochs=3, verbose=0).history
    names = "loss perplexity augmented_loss val_loss val_perplexity".split()
    assert set(names) <= set(history) and all(len(history[name]) == 3 for name in names)
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(np.exp(history["loss"]), history["perplexity"], rtol=1e-9)
    result = model.evaluate(valid, return_dict=True, verbose=0)
    assert set(result) == {"loss", "perplexity"} and result["loss"] == history["val_loss"][-1]
    model.save(tmp_path / "m.keras")
    same(keras.saving.load_model(tmp_path / "m.keras"), model)


@pytest.mark.parametrize("length", [7, 30, 90])
def test_evaluation_is_exact_whatever_the_window(length):
    model = make()
    expected = reference.ReferenceModel(model).cross_entropies(VALID).mean()
    assert model.evaluate(valid(length), return_dict=True, verbose=0)["loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(1e-2, beta_1=0.5, global_clipnorm=1.0),
        lambda: keras.optimizers.SGD(0.2, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.RMSprop(1e-2),
        lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(1.0, 3, 0.5), clipvalue=0.5),
    ],
    ids=["adam", "momentum", "rmsprop", "schedule"],
)
def test_any_keras_optimizer_trains(optimizer):
    model = make(optimizer())
    losses = model.fit(train(), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and model.optimizer.iterations == 4 * STEPS


def test_one_pass_sgd_is_keras_sgd():
    ours, keras_own = make(OnePassSGD(0.5, global_clipnorm=1.0)), make()
    found, expected = (m.fit(train(), epochs=2, verbose=0).history["loss"] for m in (ours, keras_own))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    same(ours, keras_own, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"global_clipnorm": 0.1}, {"weight_decay": 0.01}])
def test_one_pass_sgd_trains_any_model_as_keras_sgd(options):
    found = []
    for optimizer in (OnePassSGD(0.5, **options), keras.optimizers.SGD(0.5, **options)):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.layers.Embedding(9, 4), keras.layers.Dense(9)])
        model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        ids = np.arange(24).reshape(6, 4) % 9
        model.fit(ids, ids, batch_size=2, epochs=3, verbose=0)
        found.append(model.get_weights())
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-5, atol=1e-6)


def test_fit_is_what_the_trainer_runs(tmp_path):
    recipe = Recipe(batch_size=BATCH, sequence_length=TIME, epochs=2, learning_rate=0.5, clip_norm=1.0)
    splits = write_split(tmp_path / "train", TEXT), write_split(tmp_path / "valid", VALID)
    model = make(compiled=False)
    compile_model(model, recipe)
    trained = Training(model, *splits, recipe, tmp_path / "checkpoints").run()
    fitted = make(OnePassSGD(0.5, global_clipnorm=1.0))
    history = fitted.fit(train(), validation_data=windows(VALID, 1, len(VALID)), epochs=2, verbose=0).history
    assert [round(p, 6) for p in history["perplexity"]] == [r["train_perplexity"] for r in trained]
    assert [round(p, 6) for p in history["val_perplexity"]] == [r["valid_perplexity"] for r in trained]


@pytest.mark.parametrize("options", [{"steps_per_execution": 3}, {"run_eagerly": True}], ids=["three steps", "eager"])
def test_other_ways_to_run_the_steps_train_the_same(options):
    other, plain = make(compiled=False), make()
    other.compile(keras.optimizers.SGD(0.5, global_clipnorm=1.0), **options)
    found, expected = (m.fit(train(), validation_data=valid(), epochs=2, verbose=0).history for m in (other, plain))
    for name in ("loss", "val_loss", "gradient_norm"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_keras_callbacks_work(tmp_path):
    callbacks = keras.callbacks
    used = [
        callbacks.EarlyStopping("val_perplexity", mode="min", patience=1, restore_best_weights=True),
        callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_loss", save_best_only=True),
        callbacks.TensorBoard(tmp_path / "logs"),
        callbacks.LearningRateScheduler(lambda epoch: 0.5 * 0.5**epoch),
        callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = make().fit(train(), validation_data=valid(), epochs=3, callbacks=used, verbose=0).history
    assert history["learning_rate"] == pytest.approx([0.5, 0.25, 0.125][: len(history["loss"])])
    best = keras.saving.load_model(tmp_path / "best.keras")
    result = best.evaluate(valid(), return_dict=True, verbose=0)
    assert result["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-6)
    assert "val_perplexity" in (tmp_path / "log.csv").read_text().splitlines()[0]
    assert list((tmp_path / "logs").rglob("events*"))


def test_a_loaded_model_trains_on_as_if_it_had_never_been_saved(tmp_path):
    """Masks, momentum and rate continue; the carried state starts with the epoch, so it is in no file."""
    whole, part = (make(keras.optimizers.SGD(0.3, momentum=0.9)) for _ in range(2))
    whole.fit(train(), epochs=2, verbose=0)
    part.fit(train(), epochs=1, verbose=0)
    part.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.get_config() == part.get_config()
    loaded.fit(train(), initial_epoch=1, epochs=2, verbose=0)
    same(loaded, whole)
    assert "carried" not in str(zipfile.ZipFile(tmp_path / "m.keras").namelist())
    import h5py

    with zipfile.ZipFile(tmp_path / "m.keras") as archive, archive.open("model.weights.h5") as file:
        shapes = []
        h5py.File(file).visititems(lambda name, item: shapes.append(getattr(item, "shape", None)))
    assert (BATCH, 2, 2, 8) not in shapes


def test_another_program_loads_a_model_without_custom_objects(tmp_path):
    make().save(tmp_path / "m.keras")
    load = f"model = keras.saving.load_model({str(tmp_path / 'm.keras')!r}); print(model.count_params())"
    code = f"import keras; from models import LanguageModel; {load}"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert found.stdout.strip() == str(make().count_params()), found.stderr[-2000:]


def test_call_predict_and_summary_work_as_in_keras(capsys):
    model = make()
    ids = np.array([[1, 5, 7], [1, 2, 3]])
    logits = model(ids)
    assert logits.shape == (2, 3, VOCABULARY)
    np.testing.assert_allclose(model.predict(ids, verbose=0), logits, atol=1e-6)
    model.summary()
    assert "embedding" in capsys.readouterr().out
    assert model.count_params() == VOCABULARY * 8 + 2 * (8 * 32 + 8 * 32 + 32)
    symbolic = keras.Model(inputs := keras.Input((None,), dtype="int32"), model(inputs))
    np.testing.assert_allclose(symbolic(ids), logits, atol=1e-6)
    dropped = [model(ids, training=True).numpy() for _ in range(2)]
    assert np.abs(dropped[0] - dropped[1]).max() > 1e-3 and np.abs(dropped[0] - logits).max() > 1e-3


def test_predicting_windows_carries_the_state():
    model = make()
    logits = model.predict(valid(30), verbose=0)
    whole = model(np.concatenate([[1], VALID[:-1]])[None])
    np.testing.assert_allclose(logits.reshape(90, -1), whole[0], atol=1e-5)


def test_tokens_of_weight_0_change_neither_the_gradient_nor_the_metrics():
    """Two of four lanes without weight train as the two others alone, whose mean is over half the lanes."""
    half = train().map(lambda x, y, w: (x, y, tf.concat([w[:2], tf.zeros_like(w[2:])], 0)))
    model = make(keras.optimizers.SGD(0.5), dropout=0.0)
    alone = make(keras.optimizers.SGD(0.5 / 2), dropout=0.0)
    found = model.fit(half, verbose=0).history
    expected = alone.fit(windows(TEXT[: len(TEXT) // 2], 2, TIME), verbose=0).history
    for name in ("loss", "perplexity", "augmented_loss"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-8)
    same(model, alone, atol=1e-5)


def test_a_frozen_embedding_stays_and_the_rest_trains():
    model = make(compiled=False, tie_embeddings=False)
    model.embedding.trainable = False
    model.compile(keras.optimizers.SGD(0.5))
    before = model.get_weights()
    model.fit(train(), verbose=0)
    moved = [np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True)]
    assert moved == [False] + [True] * (len(moved) - 1)


def test_a_mixed_policy_keeps_float32_weights_and_learns_alike():
    exact, mixed = make(), make(dtype="mixed_bfloat16")
    same(exact, mixed)
    assert {w.dtype for w in mixed.weights} == {"float32"} and mixed(np.array([[1, 2]])).dtype == tf.float32
    found, expected = (m.fit(train(), epochs=1, verbose=0).history["loss"] for m in (mixed, exact))
    assert found != expected
    np.testing.assert_allclose(found, expected, rtol=1e-2)


@pytest.mark.parametrize("bound", [0.0, -1.0])
def test_sgd_in_one_pass_can_be_used_in_a_loop_of_ones_own_and_without_a_bound(bound):
    model = make(OnePassSGD(0.5, global_clipnorm=bound))
    before = model.get_weights()
    model.fit(train(), verbose=0)
    trained = model.get_weights()
    assert all(np.abs(a - b).max() > 0 for a, b in zip(before, trained, strict=True))
    gradients = [tf.ones_like(variable) for variable in model.trainable_variables]
    model.optimizer.apply(gradients, model.trainable_variables)
    for old, new in zip(trained, model.get_weights(), strict=True):
        np.testing.assert_allclose(new, old - 0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("target", ["held", "average"])
def test_a_copy_of_the_embedding_is_renewed_by_its_callback(target):
    model = make(target=target, gradient_through_target=False)
    refused("callbacks: nothing renews the copy .*TargetEmbedding", model.fit, train())
    before = model.target_table.numpy()
    model.fit(train(), callbacks=[TargetEmbedding(interval=2, decay=0.5)], verbose=0)
    moved, table = np.abs(model.target_table - before).max(), model.target_table.numpy()
    assert moved > 0 and np.abs(table - model.embedding.embeddings).max() < np.abs(before - table).max()
    model.fit(train(), callbacks=[[TargetEmbedding()]], verbose=0)  # Keras takes lists of lists, too
    refused("steps_per_execution: the copy of the embedding", model.compile, "sgd", steps_per_execution=2)
    refused("callbacks: TargetEmbedding needs target='held'", make().fit, train(), callbacks=[TargetEmbedding()])
    refused("interval: found 0", TargetEmbedding, interval=0)
    refused("decay: found 1.0", TargetEmbedding, decay=1.0)


def test_changed_loss_weights_are_saved_with_the_model(tmp_path):
    model = make()
    model.set_loss_weights(temperature=tf.constant(7.0), gamma=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.temperature, loaded.gamma) == (7.0, 0.1)
    copies = [LanguageModel.from_config(m.get_config()) for m in (model, loaded)]
    assert [copy.temperature for copy in copies] == [7.0, 7.0]
    refused("temperature: found 0", model.set_loss_weights, temperature=0)
    plain = LanguageModel(VOCABULARY, 8, augmented=False)
    refused("gamma: found 0.1 with augmented=False", plain.set_loss_weights, gamma=0.1)
    refused("target: found held with augmented=False", LanguageModel, VOCABULARY, 8, augmented=False, target="held")
    refused("vocabulary_size: found 1, expected at least 2", LanguageModel, 1, 8)
    refused("init_scale: found nan", LanguageModel, VOCABULARY, 8, init_scale=float("nan"))


def test_keras_exports_the_model(tmp_path):
    model = make(compiled=False)
    model.export(tmp_path / "exported", verbose=False)
    ids = np.array([[1, 2, 3]], np.int32)
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    found = loaded.serve(ids)
    np.testing.assert_allclose(found, model(ids), rtol=1e-5, atol=1e-6)
    assert model.predict(ids, 1, verbose=0).shape == found.shape


def refused(match, call, *arguments, **options):
    with pytest.raises(ValueError, match=match):
        call(*arguments, **options)


def test_data_and_options_that_cannot_be_trained_are_refused_before_the_first_step():
    model = make(compiled=False)
    refused("compile", model.fit, train())
    refused("loss: LanguageModel has its own loss", model.compile, loss="mse")
    refused("metrics: LanguageModel has its own", model.compile, metrics=["accuracy"])
    refused("jit_compile", model.compile, jit_compile=True)
    model.compile()
    refused("x: expected windows", model.fit, TEXT)
    refused("x: expected windows", model.evaluate, TEXT, TEXT)
    wrong = TEXT.copy()
    wrong[17] = VOCABULARY
    refused(f"x: token 17 has the id {VOCABULARY}, outside of the vocabulary", model.fit, windows(wrong, BATCH, TIME))
    refused("validation_data: token 17", model.fit, train(), validation_data=windows(wrong, 1, 30))
    assert model.optimizer.iterations == 0
    model.fit(train(), verbose=0)
    later = windows(TEXT, BATCH, TIME, 2)
    refused("x: it starts at window 2, expected", model.evaluate, later)
    refused("x: it starts at window 2, expected", model.predict, later)
    refused("validation_data: it starts at window 2, expected", model.fit, train(), validation_data=later)
    parts = keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.SGD()))
    refused("optimizer: the parts of a MultiOptimizer", model.compile, parts)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        refused("create it inside the scope", model.fit, train())
        refused("create it inside the scope", model.evaluate, train())
    refused("x: it starts at window 2, and so would each of the 2", model.fit, windows(TEXT, BATCH, TIME, 2), epochs=2)
    model.fit(windows(TEXT, BATCH, TIME, 2), epochs=3, initial_epoch=2, verbose=0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"augmented": False, "gamma": 0.5}, "gamma: found 0.5 with augmented=False"),
        ({"augmented": False, "gradient_through_target": True}, "gradient_through_target: found True with augmented"),
        ({"dropout": 1.0}, r"dropout: found 1.0, expected a probability of dropping in \[0, 1\)"),
        ({"units": 0}, "units: found 0, expected at least 1"),
        ({"target": "other"}, "target: found 'other'"),
        ({"dtype": "mixed_float16"}, "dtype: found mixed_float16"),
        ({"dtype": "float64", "precision": "bfloat16"}, "precision: found bfloat16 with dtype float64"),
    ],
)
def test_arguments_out_of_range_are_named(options, message):
    refused(message, LanguageModel, **{"vocabulary_size": 9, "units": 4} | options)
