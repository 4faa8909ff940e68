"""Builders of TensorFlow Datasets for the known corpora, one package each.

ExampleGen's executor imports a builder by the corpus's name, and nothing else imports them. They import ExampleGen's
`corpora`, `lines`, `python_library`, `splits` and `text_files`, and `components.artifacts.splits`.
"""
