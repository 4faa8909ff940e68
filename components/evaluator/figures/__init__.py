"""The Evaluator's figures: perplexity by split and slice, calibration, samples, the comparison and its intervals.

Functions of arrays and texts that know nothing of blessings or artifacts; imported by the executor and the reports.
"""
