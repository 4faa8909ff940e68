"""Text for the model: tokenizers, streams of token ids, the windows that training reads, word vectors.

`models.fitting`, `models.training` and `models.serving` import it; so do `components`, `pipeline`, `benchmarks` and
`experiments`. It imports `models.files`, `models.perplexity` and libraries.
"""
