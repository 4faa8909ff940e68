"""Training by Keras's `fit`: recipe, optimizers, callbacks, checkpoints that training resumes from exactly, devices.

Imports `models.layers`, `models.text` and the model; imported by `components` (Trainer and Tuner).
"""
