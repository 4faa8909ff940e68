"""The Penn Treebank, from files that users have.

ExampleGen's executor imports the builder by its name. It imports `features` and ExampleGen's `lines`.
"""
