"""The files of the artifacts: one module for each artifact, which alone writes and reads it.

Import from here what a component hands to the next, and what the report reads. The modules import `components.base` and
`models`; only `examples` needs TensorFlow.
"""
