"""How a model is trained: the numbers of a recipe, apart from the network itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from models.training.schedules import Schedule

# What an optimizer takes beside its learning rate, by its name in the configuration.
OPTIMIZER_OPTIONS: dict[str, tuple[str, ...]] = {
    "sgd": ("weight_decay",),
    "momentum": ("momentum", "nesterov", "weight_decay"),
    "adam": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "adamw": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "nadam": ("beta_1", "beta_2", "epsilon", "weight_decay"),
    "rmsprop": ("rho", "momentum", "epsilon", "weight_decay"),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is trained; the defaults are the paper's small network on the Penn Treebank.

    Attributes:
        batch_size: Lanes of the global batch.
        sequence_length: Steps of truncated back-propagation.
        epochs: Epochs at most.
        learning_rate: Of the first epochs; belongs to a loss summed over the steps and averaged over the batch.
        decay: Factor of the learning rate from epoch to epoch, after `decay_start_epoch`.
        decay_start_epoch: Last epoch (from 1) at the full learning rate.
        clip_norm: Largest global norm of the whole batch's gradient.
        patience: Epochs without a better valid perplexity after which training stops; None: never.
        checkpoint_seconds: Seconds between checkpoints.
        temperature, gamma: τ and γ of the augmented loss where they change during training; None: the model's.
        target_interval: Steps for which a "held" target embedding stays as it is.
        target_decay: Share of itself that an "average" target embedding keeps at every step.
        optimizer: Name of the optimizer, one of `OPTIMIZER_OPTIONS`.
        optimizer_options: Of that optimizer, beside its learning rate; what is missing is Keras's default.
        ema: Momentum of a moving average of the weights that is evaluated and exported in their place; None: none.
        freeze_embedding_epochs: First epochs in which the embedding is not updated (pre-trained vectors).
    """

    batch_size: int = 20
    sequence_length: int = 35
    epochs: int = 40
    learning_rate: float = 1.0
    decay: float = 0.9
    decay_start_epoch: int = 5
    clip_norm: float = 5.0
    patience: int | None = None
    checkpoint_seconds: float = 60.0
    temperature: Schedule | None = None
    gamma: Schedule | None = None
    target_interval: int = 500
    target_decay: float = 0.999
    freeze_embedding_epochs: int = 0
    optimizer: str = "sgd"
    optimizer_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ema: float | None = None

    def learning_rate_of(self, epoch: int) -> float:
        """Learning rate of epoch `epoch`, counted from 1."""
        return self.learning_rate * self.decay ** max(0, epoch - self.decay_start_epoch)


def option_problems(name: str, given: Mapping[str, Any]) -> list[str]:
    """A message for each option that the optimizer does not have."""
    allowed = OPTIMIZER_OPTIONS[name]
    return [f"The optimizer {name} has no {key}; it has {', '.join(allowed)}." for key in given if key not in allowed]
