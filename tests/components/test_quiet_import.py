"""TensorFlow is imported without the packages that Keras imports but does not need."""

import subprocess
import sys

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
