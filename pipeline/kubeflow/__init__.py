"""Kubeflow Pipelines and Vertex AI: the same components, each in a container of its own.

`compiler.compile_pipeline` makes the file that a cluster runs, with the extra `kubeflow`; `entrypoint` is what runs in
the containers, without it. Imports `pipeline.config`, `pipeline.runner`'s digest of the code and `components.base`;
imported by the commands.
"""
