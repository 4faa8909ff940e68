"""Evaluator: computes the figures of the exported model, and decides whether it is blessed.

The Pusher imports `baseline`; `pipeline` and `experiments` import the specification, `exported_model`,
`evaluation_split`, `figures` and `adaptive`. It imports `artifacts`, `beam_pipeline`, `number_format` and, of `models`,
`parameters`, the exported model's reader, token streams, the tokenizer and the network.
"""
