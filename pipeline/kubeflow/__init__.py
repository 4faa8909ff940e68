"""Kubeflow Pipelines and Vertex AI: the same components, each in its own container.

`compiler.compile_pipeline` makes the file that a cluster runs, with the extra `kubeflow`; `entrypoint` runs in the
containers, without it. Imports `pipeline.config`, `pipeline.runner`'s digest of the code and `components.base`;
imported by the commands.
"""
