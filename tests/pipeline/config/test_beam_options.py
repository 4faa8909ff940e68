"""What `beam.args` may not be, found before anything starts."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def test_a_runner_whose_package_is_absent_names_the_extra():
    code = (
        "import sys; sys.modules['dask'] = None\n"  # Python's own way to say that it is not installed
        "from pipeline.config import beam_options\n"
        "print(beam_options.problem(['--runner=apache_beam.runners.dask.dask_runner.DaskRunner']))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "not installed" in found.stdout and "-e '.[dask]'" in found.stdout


def test_a_short_name_that_beam_does_not_know_says_the_long_one():
    code = "from pipeline.config import beam_options; print(beam_options.problem(['--runner=DaskRunner']))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "--runner=apache_beam.runners.dask.dask_runner.DaskRunner" in found.stdout
