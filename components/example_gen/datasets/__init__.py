"""Builders of TensorFlow Datasets for the known corpora, one package each.

ExampleGen's executor imports a builder by the corpus's name, and nothing else imports them. They import ExampleGen's
modules for lines, splits and the Python library, and `components.artifacts.splits`.
"""
