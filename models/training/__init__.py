"""Training by Keras's `fit`: recipe, optimizers, callbacks, exact checkpoints and resume, devices.

Imports `models.layers`, `models.text` and the model; imported by `components` (Trainer and Tuner).
"""
