"""ExampleValidator: checks the statistics of the splits by rules, each of which is a warning or an error.

`pipeline` imports the specification. It imports `artifacts` and `models.parameters`.
"""
