"""Trainer: trains the model in a process of its own, alone or with other workers, and exports its best epoch.

The Tuner imports the specification and `external_files`; `pipeline` and `benchmarks` import the specification and what
starts and connects workers (`executor`, `peers`, `task`, `training_process`). It imports `artifacts`, `child_process`,
`terminal`, `number_format` and, of `models`, `files`, training, serving, text and the network.
"""
