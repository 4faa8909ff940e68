"""Exports of a trained model: the SavedModel with its signatures, the Hub's folder, a file for devices.

`components`, `pipeline`, `benchmarks` and `experiments` import it, and `models.training` for an exported model that
training starts from. It imports `models.layers`, `models.text`, `models.files` and `models.perplexity`: the model is
an argument.
"""
