"""The commands, the configuration, the runner of the components, the reports and the server.

People start its commands; `experiments` and `benchmarks` import `config`, `pipeline.pipeline` and a few helpers. It
imports `components` and `models`, which never import it.
"""
