"""The configuration: its sections and defaults, the layers that decide a value, what contradicts what.

Imports the components' parameters, no executor and no TensorFlow; imported by the commands and `pipeline.pipeline`.
`load` is the way in.
"""

from pipeline.config.resolve import Configuration, ConfigurationError, load
from pipeline.config.settings import Settings

__all__ = ["Configuration", "ConfigurationError", "Settings", "load"]
