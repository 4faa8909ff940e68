"""WikiText-103, from files that users have.

ExampleGen's executor imports the builder by its name. It imports `features` and `wikitext_files`, which WikiText-2
shares.
"""
