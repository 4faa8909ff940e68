"""What Keras calls to train, evaluate and predict on windows of text: steps, metrics, replicas, plain SGD in one pass.

`models.language_model` and `models.training` import it. It imports `models.layers`, `models.text` and
`models.perplexity`.
"""
