"""StatisticsGen: counts lines, words and characters of each split, and what the splits share.

`pipeline` imports the specification. It imports `artifacts`, `beam_pipeline`, `text_bytes` and, of `models`, the
tokenizer and its settings.
"""
