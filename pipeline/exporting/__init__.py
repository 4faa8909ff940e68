"""The work behind `python -m pipeline.export`: finds a pushed version, and writes it in another form.

`pipeline.export` imports `pushed_model` to find the version, and `writing` to write it. The package imports
`pipeline.config`, `pipeline.metadata` and `pipeline.pipeline`; `components.artifacts`, the Evaluator's measurements and
the Pusher's versions; and `models.serving` and `models.text`.
"""
