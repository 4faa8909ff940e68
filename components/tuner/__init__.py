"""Tuner: searches for hyperparameters with Keras Tuner; each trial trains as the Trainer does.

`pipeline` imports the specification, `search_space` for its checks, and what a worker needs (`invitation`,
`search_process`). It imports the Trainer's specification and `external_files`, `artifacts`, `child_process`,
`terminal`, `number_format` and, of `models`, `files`, training, text and the network.
"""
