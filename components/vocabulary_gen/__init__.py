"""VocabularyGen: counts the words of the train split and writes the vocabulary, or learns word pieces.

`pipeline` imports the specification. It imports `artifacts`, `beam_pipeline` and, of `models`, `parameters`, the
tokenizer, its settings and its files.
"""
