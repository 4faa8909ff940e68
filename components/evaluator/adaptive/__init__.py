"""Evaluation with models that adapt to the text they read: a neural cache, and dynamic evaluation.

The Evaluator and `pipeline.scoring` import `evaluation` and `settings`; exporting and `experiments` import
`trained_model`. It imports `components.evaluator.exported_model` and, of `models`, the network, the tokenizer's ids and
token streams.
"""
