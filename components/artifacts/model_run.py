"""ModelRun: `history.json`, the learning curves of a training. During training it is in the Trainer's workspace."""

from typing_extensions import TypedDict

from components.artifacts.document import Document


class Epoch(TypedDict):
    """The record of one epoch, as `models.training.resumable.Training.history` has it."""

    epoch: int
    train_perplexity: float | None
    valid_perplexity: float | None
    learning_rate: float
    cross_entropy: float | None
    augmented_loss: float | None
    gradient_norm: float | None
    clipped: float
    tokens_per_second: float
    seconds: float


class History(TypedDict):
    """The epochs so far, and the number (from 1) of the epoch with the lowest valid perplexity."""

    steps_per_epoch: int
    best_epoch: int | None
    epochs: list[Epoch]


HISTORY = Document("history.json", History, "Trainer")
