"""InfraValidator: loads the exported model in a process of its own and sends it requests, as a server would.

`pipeline` imports the specification. It imports `artifacts` and, of `models`, `files`, `parameters`, the exported
model's reader and token streams. `probe` and `probed_model`, which run in the process, import nothing else of the
project.
"""
