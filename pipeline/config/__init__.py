"""The configuration: its sections and defaults, where a value comes from, and which values contradict each other.

Imports the components' parameters, no executor and no TensorFlow; imported by the commands and `pipeline.pipeline`.
Start with `load`.
"""

from pipeline.config.resolve import Configuration, ConfigurationError, load
from pipeline.config.settings import Settings

__all__ = ["Configuration", "ConfigurationError", "Settings", "load"]
