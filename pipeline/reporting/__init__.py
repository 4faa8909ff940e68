"""What is shown of runs: the report page and its charts, comparisons, the history, the summary's one line.

Reads `pipeline.metadata` and the artifacts' own modules; imported by the commands and by `pipeline.tracking`.
"""
