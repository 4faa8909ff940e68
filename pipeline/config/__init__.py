"""The configuration: its sections and defaults, where a value comes from, and which values contradict each other.

The commands, `pipeline.pipeline`, `runner`, `reporting`, `exporting`, `tracking` and `kubeflow` import it, and
`experiments` and `benchmarks`; start with `load`. It imports the settings of the components and of `models`,
`models.serving.saved_model` and `pipeline.program`, but no executor and no TensorFlow.
"""

from pipeline.config.resolve import Configuration, ConfigurationError, load
from pipeline.config.settings import Settings

__all__ = ["Configuration", "ConfigurationError", "Settings", "load"]
