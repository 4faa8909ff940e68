"""The settings of the network, its loss and its training: type, bounds, default and meaning of each, in one place.

Needs only pydantic. The configuration's sections, the Trainer's parameters, what a search may vary, the commented
`pipeline_config.yaml` and the documentation's table of keys are all derived from classes such as these.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pydantic

from models.parameters import Parameters, PathText, Whole, setting


class TokenizerSettings(Parameters):
    """How text becomes words."""

    tokenizer: Literal["whitespace", "unicode_words", "wordpiece"] = setting(
        "unicode_words", "whitespace (text that is tokenized already), unicode_words (raw text) or wordpiece."
    )
    lowercase: bool = setting(False, "Whether words are lower-cased.")
    keep_blank_lines: bool = setting(
        False, "Whether a blank line becomes a lone <eos> (as in WikiText's published counts) or is dropped."
    )


class ModelSettings(Parameters):
    """The size of the network, and how its weights start."""

    units: Whole = setting(
        200,
        "Width of every layer, and of the word vectors unless embedding_units is set.",
        tunable=True,
        shape=True,
        ge=1,
    )
    num_layers: Whole = setting(2, "Number of LSTM layers.", tunable=True, shape=True, ge=1)
    embedding_units: Whole | None = setting(
        None,
        "Width of the word vectors. If it is not units, a matrix (the projection) between the last layer and the "
        "output layer changes the width.",
        null="units",
        tunable=True,
        shape=True,
        ge=1,
    )
    dropout: float = setting(
        0.3,
        "Probability of dropping (not of keeping), 0 up to 1: of the vectors that enter the first layer, and of every "
        "layer's hidden state, wherever it is used.",
        tunable=True,
        ge=0,
        lt=1,
    )
    input_dropout: float | None = setting(
        None,
        "Separate probability of dropping for the vectors that enter the first layer.",
        null="dropout",
        tunable=True,
        ge=0,
        lt=1,
    )
    output_dropout: float | None = setting(
        None,
        "Separate probability of dropping, with a separate mask, for the last layer's hidden state where the output "
        "layer uses it; dropout then applies where that layer uses it itself.",
        null="dropout, and one mask for both uses",
        tunable=True,
        ge=0,
        lt=1,
    )
    embedding_dropout: float = setting(
        0.0, "Probability of dropping a word, wherever a window reads it.", tunable=True, ge=0, lt=1
    )
    weight_dropout: float = setting(
        0.0, "Probability of dropping each weight of the recurrent kernels (DropConnect).", tunable=True, ge=0, lt=1
    )
    tie_embeddings: bool = setting(
        True, 'Whether the output layer reuses the word vectors ("RE" in the paper).', tunable=True, shape=True
    )
    output_bias: bool = setting(
        False,
        "Whether an output layer of its own (tie_embeddings: false) has a bias.",
        tunable=True,
        shape=True,
    )
    init_scale: float = setting(0.1, "Weights start uniform between -init_scale and +init_scale.", tunable=True, gt=0)
    pretrained_embeddings: PathText | None = setting(
        None,
        "File of word vectors that the embedding starts from: GloVe or word2vec text (plain or .gz), word2vec binary "
        "(.bin, .bin.gz), or .npy with the words in a .txt next to it. Words that it lacks start at random.",
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Finds an output bias in a tied layer.

        Yields:
            (name, "found ..., expected ...").
        """
        yield from super().contradictions()
        if self.tie_embeddings and self.output_bias:
            yield "output_bias", "found true, expected false: a tied output layer has no bias (b = 0)."


class ScheduleSettings(Parameters):
    """A ramp of the temperature or of gamma; it ends at the value of that setting.

    Attributes:
        start: The value at the first step, at least 0.
        shape: "linear" adds the same amount at every step, "exponential" multiplies by the same factor.
        length: How long the ramp lasts, in `unit`s; more than 0.
        unit: "epochs" or "steps".
    """

    start: float = pydantic.Field(ge=0)
    shape: Literal["linear", "exponential"] = "linear"
    length: float = pydantic.Field(1.0, gt=0)
    unit: Literal["epochs", "steps"] = "epochs"


class LossSettings(Parameters):
    """The augmented loss, its temperature and weight, and its target distribution; penalties on hidden states."""

    augmented: bool = setting(True, 'Whether the augmented loss is added ("AL" in the paper).', tunable=True)
    temperature: float = setting(
        20.0, "Temperature of the augmented loss, tau.", tunable=True, needs=("augmented", True), gt=0
    )
    gamma: float = setting(
        0.65,
        "Weight of the augmented loss, gamma; alpha of the paper is gamma * tau.",
        tunable=True,
        needs=("augmented", True),
        ge=0,
    )
    gradient_through_target: bool = setting(
        True,
        "Whether the gradient also flows through the estimated target distribution; false for a target that is a copy.",
        tunable=True,
        needs=("augmented", True),
    )
    target: Literal["current", "held", "average"] = setting(
        "current",
        "Embedding that the estimated target distribution is made from: current, held (a copy, renewed every "
        "target_interval steps) or average (a moving average, which keeps target_decay of itself at every step).",
        tunable=True,
        needs=("augmented", True),
    )
    target_interval: Whole = setting(
        500, "Steps between two renewals of a held target.", tunable=True, needs=("target", "held"), ge=1
    )
    target_decay: float = setting(
        0.999,
        "Share of itself that an average target keeps at every step, 0 up to 1.",
        tunable=True,
        needs=("target", "average"),
        ge=0,
        lt=1,
    )
    temperature_schedule: ScheduleSettings | None = setting(
        None,
        "Ramp of the temperature up (or down) to loss.temperature, for example {start: 5.0, shape: exponential, "
        "length: 2.0, unit: epochs}; shape is linear or exponential, unit epochs or steps.",
        null="constant",
    )
    gamma_schedule: ScheduleSettings | None = setting(
        None,
        "Ramp of gamma up (or down) to loss.gamma; {start: 0.0, length: 1.0} warms it up within the first epoch.",
        null="constant",
    )

    activation_regularization: float = setting(
        0.0,
        "Coefficient, in the loss of a token, of the mean square of the last layer's hidden state after dropout (AR).",
        tunable=True,
        ge=0,
    )
    temporal_activation_regularization: float = setting(
        0.0,
        "Coefficient, in the loss of a token, of the mean square of its change from token to token (TAR).",
        tunable=True,
        ge=0,
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Finds a target that has no gradient, and ramps through 0.

        Yields:
            (name, "found ..., expected ...") for each.
        """
        yield from super().contradictions()
        if self.augmented and self.gradient_through_target and self.target != "current":
            yield (
                "target",
                f"found {self.target!r}, expected 'current', or gradient_through_target false: a copy of the embedding "
                "has no gradient.",
            )
        for name in ("temperature", "gamma"):
            ramp, end = getattr(self, f"{name}_schedule"), getattr(self, name)
            if ramp and ramp.shape == "exponential" and min(ramp.start, end) <= 0:
                yield (
                    f"{name}_schedule",
                    f"found an exponential ramp from {ramp.start} to {end}, expected both above 0, or shape linear.",
                )
            elif ramp and name == "temperature" and ramp.start == 0:
                yield "temperature_schedule", "found start 0, expected a temperature above 0."


# The options of each optimizer, other than its learning rate.
OPTIMIZER_OPTIONS: dict[str, tuple[str, ...]] = {
    "sgd": ("weight_decay",),
    "momentum": ("momentum", "nesterov", "weight_decay"),
    "adam": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "nadam": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "rmsprop": ("rho", "momentum", "epsilon", "weight_decay"),
}
OPTION_NAMES = sorted({name for names in OPTIMIZER_OPTIONS.values() for name in names})


class TrainingSettings(Parameters):
    """How a model is trained; the defaults are the paper's small network on the Penn Treebank."""

    batch_size: Whole = setting(20, "Lanes read side by side, over all replicas together.", tunable=True, ge=1)
    sequence_length: Whole = setting(35, "Steps of truncated backpropagation, in tokens.", tunable=True, ge=1)
    epochs: Whole = setting(40, "Passes over the train split.", ge=1)
    learning_rate: float = setting(
        1.0, "Step size, for a loss summed over the steps of a window and averaged over its lanes.", tunable=True, gt=0
    )
    decay: float = setting(
        0.9, "Factor on the learning rate for each epoch after decay_start_epoch.", tunable=True, gt=0, le=1
    )
    decay_start_epoch: Whole = setting(5, "Epoch (from 1) after which the learning rate decays.", tunable=True, ge=0)
    clip_norm: float = setting(5.0, "Bound on the global norm of the whole batch's gradient.", tunable=True, gt=0)
    optimizer: Literal["sgd", "momentum", "adam", "adamw", "nadam", "rmsprop"] = setting(
        "sgd",
        "Optimizer: sgd, momentum (SGD with it), adam, adamw, nadam or rmsprop. learning_rate, its decay and clip_norm "
        "hold for each; the next seven keys are null (Keras's default) or a value, for the optimizers that have them.",
    )
    momentum: float | None = setting(None, "Momentum, for momentum (null: 0.9) and rmsprop.", ge=0, lt=1)
    nesterov: bool | None = setting(None, "Whether the momentum is Nesterov's, for momentum.")
    beta_1: float | None = setting(None, "Decay of the first moment, for adam, adamw and nadam.", ge=0, lt=1)
    beta_2: float | None = setting(None, "Decay of the second moment, for adam, adamw and nadam.", ge=0, lt=1)
    rho: float | None = setting(None, "Decay of the mean square, for rmsprop.", ge=0, lt=1)
    epsilon: float | None = setting(
        None, "Added to the root of the second moment, for adam, adamw, nadam and rmsprop.", gt=0
    )
    weight_decay: float | None = setting(
        None, "Each weight loses learning_rate x weight_decay of itself at every step, for all optimizers.", ge=0
    )
    ema: float | None = setting(
        None,
        "Moving average of the weights that is evaluated and exported in their place: the share that it keeps of "
        "itself at every step.",
        null="none",
        gt=0,
        lt=1,
    )
    average_patience: Whole | None = setting(
        None,
        "Averaging of the weights (NT-ASGD) starts after the first epoch whose valid perplexity is higher than the "
        "lowest of those that ended more than so many epochs before; the average of all steps from there on is "
        "evaluated and exported in place of the weights.",
        null="no average",
        tunable=True,
        ge=1,
    )
    precision: Literal["auto", "float32", "bfloat16"] = setting(
        "auto", "auto (the fastest that is safe on the device), float32 or bfloat16."
    )
    replicas: Whole | None = setting(
        None,
        "Devices to train on, of all workers together; must divide batch_size.",
        null="all GPUs or as many as divide it, one CPU without",
        ge=1,
    )
    strategy: Literal["mirrored", "multi_worker_mirrored"] = setting(
        "mirrored",
        "mirrored (the devices of this machine) or multi_worker_mirrored (a process for each worker that TF_CONFIG "
        "names, docs/scaling.md).",
    )
    meeting_seconds: float = setting(
        120.0, "Time that workers wait for each other before training, in seconds.", gt=0, le=86_400
    )
    seed: Whole = setting(1, "Seed of weights and dropout.", ge=0)
    checkpoint_seconds: float = setting(60.0, "Time between two checkpoints within an epoch, in seconds.", gt=0)
    patience: Whole | None = setting(
        None, "Epochs without a better valid perplexity after which training stops.", null="never", ge=1
    )
    initial_model: PathText | None = setting(
        None,
        "Pushed version that training starts from, such as output/serving/1, with layers of the same sizes: all "
        "weights, or those of the words that both vocabularies have.",
    )
    freeze_embedding_epochs: Whole = setting(
        0,
        "First epochs in which the embedding stays as it is (with tie_embeddings the output layer, too).",
        tunable=True,
        ge=0,
    )
    export_dtype: Literal["float32", "float16", "int8"] = setting(
        "float32",
        "Type in which the exported weights are stored: float32, float16 or int8 (with a scale a row). The gate judges "
        "the export; its card has the perplexity that fewer bits cost.",
    )

    @property
    def optimizer_options(self) -> dict[str, Any]:
        """The optimizer's options that are set, other than its learning rate; the others keep Keras's defaults."""
        return {name: getattr(self, name) for name in OPTION_NAMES if getattr(self, name) is not None}

    def learning_rate_of(self, epoch: int) -> float:
        """Computes the learning rate of an epoch.

        Args:
            epoch: The epoch, counted from 1.

        Returns:
            The learning rate.
        """
        return self.learning_rate * self.decay ** max(0, epoch - self.decay_start_epoch)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Finds a batch that does not divide among the replicas, two averages, and options that the optimizer lacks.

        Yields:
            (name, "found ..., expected ...") for each.
        """
        yield from super().contradictions()
        if self.replicas and self.batch_size % self.replicas:
            yield (
                "batch_size",
                f"found {self.batch_size}, expected a multiple of replicas, {self.replicas}: each replica takes "
                "the same number of lanes.",
            )
        if self.ema is not None and self.average_patience is not None:
            yield (
                "average_patience",
                f"found {self.average_patience} with ema {self.ema}, expected only one of the two.",
            )
        least = (self.average_patience or 0) + 2
        if self.average_patience is not None and self.patience is not None and self.patience < least:
            yield (
                "patience",
                f"found {self.patience}, expected at least average_patience + 2, {least}, or null: training would stop "
                "before the weights are averaged.",
            )
        for name in sorted(self.optimizer_options.keys() - OPTIMIZER_OPTIONS[self.optimizer]):
            owners = " or ".join(owner for owner, names in OPTIMIZER_OPTIONS.items() if name in names)
            yield (
                name,
                f"found {getattr(self, name)!r}, expected null: the optimizer {self.optimizer} has no {name} "
                f"({owners} has).",
            )


class Recipe(TrainingSettings, LossSettings, ModelSettings):
    """All settings of a training: the network, its loss and how it is trained."""
