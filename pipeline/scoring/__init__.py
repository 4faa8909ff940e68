"""Bulk scoring: how probable each line of large files is.

`pipeline.score` imports it: `scorer` for one process, `with_beam` for Beam workers, `adaptive` for a model that adapts
to the text; `benchmarks` imports `scorer`. It imports `models.serving`, `components.beam_pipeline` and the Evaluator's
adaptive models, and no other subpackage of `pipeline`.
"""
