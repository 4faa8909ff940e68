"""Training by a recipe: optimizers, schedules, callbacks, devices, checkpoints that training resumes from exactly.

`components` (Trainer and Tuner), `benchmarks` and `experiments` import it. It imports all of `models` that it needs:
the model, `fitting`, `serving`, `layers`, `text`, and the settings.
"""
