"""The docstrings and help topics of the Python that runs the pipeline.

ExampleGen's executor imports the builder by its name. It imports `features` and ExampleGen's `lines`, `splits` and
`python_library`.
"""
