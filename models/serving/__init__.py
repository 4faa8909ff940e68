"""Exports of a trained model: the SavedModel with its signatures, the Hub's folder, a file for devices.

`components` and `pipeline` import it, and `models.training` where it starts from an exported model. It imports
`models.layers`, `models.text`, `models.files` and `models.perplexity`; a model is an argument, so training is not
imported.
"""
