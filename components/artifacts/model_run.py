"""ModelRun: `history.json`, the learning curves of a training. It is in the Trainer's workspace while it trains."""

from typing_extensions import TypedDict

from components.artifacts.document import Document


class Epoch(TypedDict):
    """What `models.training.resumable.Training.history` has of an epoch."""

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
    """The epochs so far, and the one (from 1) with the lowest valid perplexity."""

    steps_per_epoch: int
    best_epoch: int | None
    epochs: list[Epoch]


HISTORY = Document("history.json", History, "Trainer")
