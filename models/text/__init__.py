"""Text for the model: tokenizers, streams of token ids, the windows that training reads, word vectors.

Imports only `models.files` and libraries; imported by the rest of `models` and by `components`.
"""
