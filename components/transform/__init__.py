"""Transform: writes the splits as token ids, with the tokenizer of the vocabulary.

`pipeline` imports the specification. It imports `artifacts`, `beam_pipeline` and, of `models`, `parameters`, the
tokenizer and token streams.
"""
