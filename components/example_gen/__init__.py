"""ExampleGen: reads a corpus, divides it into splits and writes its text as shards.

`pipeline` imports the specification and `corpora`, the list of known corpora. It imports `artifacts`, `beam_pipeline`,
`quiet_import`, `text_bytes` and, of `models`, `files` and `parameters`.
"""
