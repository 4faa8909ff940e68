"""The Evaluator's figures: perplexity by split and slice, calibration, samples, the comparison and its intervals.

The Evaluator's other modules import them; so do `pipeline.exporting` (`slices`, `bootstrap`) and `experiments`
(`subspace_distance`). They import `components.artifacts.examples`, `components.evaluator.baseline`, `models.perplexity`
and token streams.
"""
