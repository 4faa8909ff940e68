"""The model that was exported, as one whose weights can be changed and whose hidden states can be seen."""

import numpy as np

from components.evaluator.exported_model import ExportedModel
from models.language_model import LanguageModel

MAX_LOGITS = 2**24  # of a block: 64 MiB


def rebuild(exported: ExportedModel, **options) -> LanguageModel:
    """A `LanguageModel` with the exported weights, in float32 whatever they are stored as.

    Args:
        exported: The SavedModel.
        **options: Of `LanguageModel`, such as those that training it further needs.
    """
    weights = exported.weights()
    vocabulary_size, units = weights[0].shape
    num_layers = sum(weight.shape == (units, 4 * units) for weight in weights) // 2
    output = weights[1 + 3 * num_layers :]
    model = LanguageModel(
        vocabulary_size,
        units,
        num_layers,
        tie_embeddings=not output,
        output_bias=len(output) == 2,
        **{"augmented": False, **options},
    )
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    return model


def shifted(block: np.ndarray, previous: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a block of tokens, int32 [1, tokens] each: a token is predicted from those before it."""
    tokens = np.concatenate([[previous], block]).astype(np.int32)[None]
    return tokens[:, :-1], tokens[:, 1:]
