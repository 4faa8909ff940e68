"""TensorFlow is imported without the packages that Keras imports but does not need."""

import json
import os
import subprocess
import sys

from components.quiet_import import import_quietly

SCRIPT = """
import sys
from components.quiet_import import import_quietly
import_quietly("components.transform.executor")
print(sorted({"keras", "sklearn", "matplotlib"} & set(sys.modules)))
import sklearn, matplotlib.pyplot, keras_tuner
print(keras_tuner.src.tuners.bayesian.sklearn is sklearn)
"""


def test_tensorflow_is_imported_without_unused_packages_which_the_program_can_still_import():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["['keras']", "True"], done.stderr


def test_standard_error_is_left_alone_where_the_module_is_imported_already(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    redirected = []
    monkeypatch.setattr(os, "dup2", lambda *descriptors: redirected.append(descriptors))
    assert import_quietly("json") is json
    assert not redirected
