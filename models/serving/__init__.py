"""Exports of a trained model: the SavedModel with its signatures, the Hub's folder, a file for devices.

Imports `models.layers`, `models.text` and the model, nothing of `models.training`; imported by `components` and
`pipeline`.
"""
