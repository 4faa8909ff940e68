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


def test_tensorflow_comes_without_what_keras_has_no_need_of_and_the_rest_of_the_program_still_has_it():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["['keras']", "True"], done.stderr
