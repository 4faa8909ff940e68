"""Model: `model_card.json` beside the SavedModel, which describes a model to those who serve or export it."""

from typing import Any, NotRequired

from typing_extensions import TypedDict

from components.artifacts.document import Document
from components.artifacts.statistics import TokenizerOptions
from models.serving import saved_model


class CardVocabulary(TokenizerOptions):
    """The number of words, and how text is cut into them."""

    size: int


class ExportFigures(TypedDict):
    """How the weights are stored and, unless that is exact, what it costs.

    Attributes:
        export_dtype: "float32", "float16" or "int8".
        exported_valid_perplexity: The exported model's perplexity on the eval split.
        export_loss: Its relative rise over the trained model's.
    """

    export_dtype: str
    exported_valid_perplexity: NotRequired[float | None]
    export_loss: NotRequired[float | None]


class ModelCard(TypedDict):
    """The description of a model. Versions before the format had a number have no `export`.

    Attributes:
        run_id: The run that trained the model.
        recipe: The Trainer's parameters. Those of another version of this project may have other names.
        vocabulary: The vocabulary.
        data: Numbers of tokens, by `train_tokens` and `eval_tokens`.
        training: The record of the epoch with the lowest valid perplexity.
        export: How the weights are stored.
    """

    run_id: str
    recipe: dict[str, Any]
    vocabulary: CardVocabulary
    data: dict[str, int]
    training: dict[str, Any]
    export: NotRequired[ExportFigures]


CARD = Document(saved_model.CARD.as_posix(), ModelCard, "Trainer")  # in the SavedModel's folder
