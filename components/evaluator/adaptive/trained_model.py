"""Rebuilds an exported model with weights that can be changed and hidden states that can be read."""

import numpy as np

from components.evaluator.exported_model import ExportedModel
from models.language_model import LanguageModel
from models.serving import stored_weights

BLOCK_LOGITS = 2**24  # number of logits of a block: 64 MiB


def rebuild(exported: ExportedModel, **options) -> LanguageModel:
    """Builds a `LanguageModel` with the exported weights, in float32 whatever type they are stored as.

    Args:
        exported: The SavedModel.
        **options: Further arguments of `LanguageModel`, such as those that further training needs.
    """
    weights = exported.weights()
    architecture = stored_weights.architecture([weight.shape for weight in weights])
    model = LanguageModel(**architecture, **{"augmented": False, **options})
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    return model


def shifted(block: np.ndarray, previous: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the inputs and the targets of a block of tokens, int32 [1, n] each.

    Args:
        block: int [n], the tokens, which are the targets.
        previous: The token before the block; it is the first input.
    """
    tokens = np.concatenate([[previous], block]).astype(np.int32)[None]
    return tokens[:, :-1], tokens[:, 1:]
