"""The tables and figures of the paper: trains their rows, records the results and compares them with published ones.

They import `pipeline`, `components` and `models`, and train by the command `pipeline.run`. None of these imports them.
"""
