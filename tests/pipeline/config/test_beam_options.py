"""What `beam.args` may not be, found before anything starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import beam_options

REPOSITORY = Path(__file__).parents[3]


def test_a_runner_whose_package_is_absent_names_the_extra():
    code = (
        "import sys; sys.modules['dask'] = None\n"  # Python's own way to say that it is not installed
        "from pipeline.config import beam_options\n"
        "print(beam_options.problem(['--runner=apache_beam.runners.dask.dask_runner.DaskRunner']))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "not installed" in found.stdout and "-e '.[dask]'" in found.stdout


def test_a_runners_short_name_that_beam_lacks_is_answered_with_the_long_one():
    code = "from pipeline.config import beam_options; print(beam_options.problem(['--runner=DaskRunner']))"
    found = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert "--runner=apache_beam.runners.dask.dask_runner.DaskRunner" in found.stdout


@pytest.mark.parametrize(
    ("beam_args", "message"),
    [
        (["--runner=PortableRunner"], "needs the address of a job server: --job_endpoint=HOST:PORT"),
        (["--runner=FlinkRunner", "--flink_job_server_jar=no.jar"], "--flink_job_server_jar: there is no no.jar."),
        (["--runner=SparkRunner", "--spark_job_server_jar=no.jar"], "--spark_job_server_jar: there is no no.jar."),
    ],
)
def test_a_job_server_that_cannot_be_started_reports_what_is_missing(beam_args, message):
    assert message in beam_options.problem(beam_args)


def test_a_job_server_in_java_needs_java(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "in Java, which is not installed" in beam_options.problem(["--runner=FlinkRunner"])
