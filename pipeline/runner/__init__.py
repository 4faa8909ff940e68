"""The local runner: order, cache, complete outputs, one run in a root at a time, progress, rollback, workers.

The commands, `reporting`, `tracking` and `kubeflow` import it; start with `local_runner.LocalRunner`. It imports
`pipeline.metadata` and `pipeline.config`; `components.base` and `components.artifacts`, the helpers for child
processes, the run's log, numbers and the terminal, the workers of the Trainer and the Tuner and the Pusher's versions;
and of `models` only `files` and `settings`.
"""
