"""Kubeflow Pipelines and Vertex AI: the same components, each in its own container.

`pipeline.commands` imports `compiler`, which writes the file that a cluster runs and needs the extra `kubeflow`; the
containers run `entrypoint` without that extra. Both use `pipeline.runner`: its digest of the code, its artifact files
and its handling of signals. They also import `pipeline.config`, `pipeline.pipeline` and `components.base`.
"""
