"""Charts in a command that a notebook's cell runs."""

import os
import subprocess
import sys


def test_charts_can_be_drawn_with_a_notebooks_backend_in_the_environment():
    code = "from pipeline.reporting import charts; print(charts.Figure.__name__)"
    environment = os.environ | {"MPLBACKEND": "module://no_such_package.backend_inline"}
    drawn = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (drawn.returncode, drawn.stdout) == (0, "Figure\n"), drawn.stderr
