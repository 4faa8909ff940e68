"""A Keras library of tied language models, which can be used alone.

The public names are below; each is imported when it is first used, so that `import models` needs no
TensorFlow.
"""

import importlib
from typing import Any

_HOMES = {
    "LanguageModel": "models.language_model",
    "OnePassSGD": "models.fitting.sgd",
    "TiedDense": "models.layers.tied_dense",
    "augmented_loss": "models.layers.augmented_loss",
    "TargetEmbedding": "models.fitting.target_embedding",
    "TokenStream": "models.text.token_stream",
    "VariationalLSTM": "models.layers.variational_lstm",
    "windows": "models.text.windows",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'models' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
