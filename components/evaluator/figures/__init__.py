"""The Evaluator's figures: perplexity by split and slice, calibration, samples, the comparison and its intervals.

These functions take arrays and texts and do not depend on blessings or artifacts. The executor and the reports import
them.
"""
