"""The files of the artifacts: one module for each artifact, and only that module writes and reads it.

Import from here what one component passes to the next, and what the report reads. The modules import `components.base`
and `models`; only `examples` needs TensorFlow.
"""
