"""One training step over all replicas: plain SGD whose clip sees the gradient of the whole batch."""

import tensorflow as tf

from models.language_model import LanguageModel
from models.recipe import Recipe


def make_step(model: LanguageModel, strategy: tf.distribute.Strategy, recipe: Recipe):
    """Compiles the step over all replicas: the gradients are summed first, then clipped as one, then applied.

    Returns:
        A function of inputs, targets (int32 [batch_size, time]), state (float32 [batch_size, layers, 2, units]), step
        (int32) and a dict of the scalars `learning_rate`, `temperature`, `gamma`, `embedding_rate` (0 where frozen) and
        `target_rate` (share of the embedding that goes into the target table), giving the new state and the window's
        metrics, float32 [3]: cross-entropy and augmented loss (sums over tokens, nats) and the gradient's norm before
        clipping.
    """
    batch_size, lanes_each = recipe.batch_size, recipe.batch_size // strategy.num_replicas_in_sync
    variables = model.trainable_variables
    embedding = next(i for i, v in enumerate(variables) if v is model.embedding.embeddings)

    def update(strategy, gradients, rate, target_rate):
        for variable, gradient in zip(variables, gradients, strict=True):
            strategy.extended.update(variable.value, _descend, args=(gradient, rate))
        if model.target_table is not None:
            table = variables[embedding].value
            strategy.extended.update(model.target_table.value, _follow, args=(table, target_rate))

    def replica_step(inputs, targets, state, step, scalars):
        context = tf.distribute.get_replica_context()
        lanes = context.replica_id_in_sync_group * lanes_each + tf.range(lanes_each)
        rows = {"inputs": inputs, "targets": targets, "state": state}
        batch = {key: tf.gather(value, lanes) for key, value in rows.items()}
        schedule = {key: scalars[key] for key in ("temperature", "gamma")}
        result = model.train_step({**batch, **schedule, "lanes": lanes, "batch_size": batch_size, "step": step})
        sums = [*result["gradients"], result["cross_entropy"], result["augmented_loss"]]
        if strategy.num_replicas_in_sync > 1:  # of one replica it would be a copy
            sums = context.all_reduce(tf.distribute.ReduceOp.SUM, sums)
        *gradients, cross_entropy, augmented = sums
        if recipe.freeze_embedding_epochs:
            gradients[embedding] *= scalars["embedding_rate"]
        norm = tf.linalg.global_norm(gradients) / batch_size
        rate = scalars["learning_rate"] * tf.minimum(1.0, recipe.clip_norm / norm) / batch_size
        context.merge_call(update, args=(gradients, rate, scalars["target_rate"]))
        return result["state"], tf.stack([cross_entropy, augmented, norm])

    @tf.function(autograph=False)
    def step(inputs, targets, state, step, scalars):
        states, metrics = strategy.run(replica_step, args=(inputs, targets, state, step, scalars))
        states = strategy.experimental_local_results(states)
        return tf.concat(states, axis=0), strategy.experimental_local_results(metrics)[0]

    return step


def _descend(variable, gradient, rate):
    """w - rate * gradient in one pass over the weights."""
    return tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)


def _follow(variable, table, rate):
    return variable.assign_add(rate * (table - variable))
