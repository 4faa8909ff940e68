"""Checks `beam.args` before anything starts: the runner exists and can be reached, and every option is known."""

import argparse
import asyncio
import contextlib
import difflib
import importlib
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import program

EXTRAS = {"dask": "dask"}  # part of a runner's name -> the extra of this project that it needs
JAVA_OPTIONS = {"FlinkRunner": "--flink_job_server_jar", "SparkRunner": "--spark_job_server_jar"}
CONNECT_SECONDS = 10


def problem(beam_args: Sequence[str]) -> str | None:
    """Returns what is wrong with Beam's arguments, or None.

    Imports Apache Beam, which takes a second or two, but not TensorFlow. Waits up to 10 seconds for a remote runner.

    Args:
        beam_args: Options of Apache Beam, such as `--runner=FnApiRunner`.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
    from apache_beam.runners.portability.portable_runner import PortableRunner
    from apache_beam.runners.runner import create_runner

    parser_output, name = io.StringIO(), ""
    try:
        with contextlib.redirect_stderr(parser_output):  # argparse prints its errors there
            options = PipelineOptions(list(beam_args))
            name = options.view_as(StandardOptions).runner or ""
            runner = create_runner(name) if name else None
            if type(runner).__name__ == "DataflowRunner":
                importlib.import_module(
                    "apache_beam.runners.dataflow.internal.apiclient"
                )  # otherwise it would be missed only when the job runs
            if isinstance(runner, PortableRunner):  # its job server defines further options
                return _unreachable_job_server(runner, options)
            unknown = _unknown(beam_args, PipelineOptions)
            return unknown or (_unreachable_dask(options) if type(runner).__name__ == "DaskRunner" else None)
    except SystemExit:
        return parser_output.getvalue().strip().splitlines()[-1].rpartition("error: ")[2] + "."
    except ImportError as error:
        extra = next((extra for part, extra in EXTRAS.items() if part in name.lower()), None)
        how = program.install_extra(extra) if extra else "Install it, or choose another runner."
        return f"the runner's package is not installed ({error}). {how}"
    except (AttributeError, TypeError, ValueError) as error:
        dask = " Dask's is --runner=apache_beam.runners.dask.dask_runner.DaskRunner." if "dask" in name.lower() else ""
        return f"there is no such runner ({error}).{dask}"


def _unreachable_dask(options: Any) -> str | None:
    """Returns why Dask's scheduler cannot run anything, or None. The runner itself would wait for ever."""
    from apache_beam.runners.dask.dask_runner import DaskOptions

    given = options.view_as(DaskOptions)
    address, file = given.address, given.scheduler_file
    if not (address or file):
        return None  # the runner starts its own workers on this machine
    seconds = given.timeout if isinstance(given.timeout, int) else CONNECT_SECONDS
    try:
        address = json.loads(Path(file).read_text())["address"] if file else address
        workers = asyncio.run(asyncio.wait_for(_count_workers(address), seconds))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return (
            f"no Dask scheduler answers at {file or address} within {seconds} s ({type(error).__name__}: {error}). "
            "Start one and its workers (`dask scheduler` and `dask worker ADDRESS`), or correct the address."
        )
    return None if workers else f"the Dask scheduler at {address} has no workers. Start some: `dask worker {address}`."


async def _count_workers(address: str) -> int:
    import distributed

    rpc: Any = distributed.rpc  # untyped
    async with rpc(address) as scheduler:
        return len((await scheduler.identity())["workers"])


def _unreachable_job_server(runner: Any, options: Any) -> str | None:
    """Returns why jobs cannot be submitted, or None: no server at the address, or none that the runner can start."""
    import grpc
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions, SparkRunnerOptions
    from apache_beam.utils import subprocess_server

    endpoint = options.view_as(PortableOptions).job_endpoint
    if endpoint:
        if endpoint == "embed" or _answers(grpc, endpoint):
            return None
        return f"no job server answers at {endpoint} within {CONNECT_SECONDS} s. Start one, or correct --job_endpoint."
    name = type(runner).__name__
    if name == "PortableRunner":
        return "this runner needs the address of a job server: --job_endpoint=HOST:PORT."
    if name not in JAVA_OPTIONS:
        return None
    flink, spark = options.view_as(FlinkRunnerOptions), options.view_as(SparkRunnerOptions)
    jar = flink.flink_job_server_jar if name == "FlinkRunner" else spark.spark_job_server_jar
    alternative = "or name a running job server by --job_endpoint=HOST:PORT."
    if jar and "://" not in jar and not Path(jar).is_file():
        return f"{JAVA_OPTIONS[name]}: there is no {jar}. Correct the path, {alternative}"
    java: Any = subprocess_server.JavaHelper  # untyped
    if shutil.which(java.get_java()) is None:
        return f"{name} starts a job server in Java, which is not installed. Install a Java runtime, {alternative}"
    return None


def _answers(grpc: Any, endpoint: str) -> bool:
    with grpc.insecure_channel(endpoint) as channel:
        try:
            grpc.channel_ready_future(channel).result(CONNECT_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _unknown(beam_args: Sequence[str], options_type: Any) -> str | None:
    """Returns a message about the first unknown argument, or None. Importing a runner has added its options."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, conflict_handler="resolve")
    groups: dict[str, Any] = {kind.__name__: kind for kind in options_type.__subclasses__()}
    for group in groups.values():
        group._add_argparse_args(parser)
    unknown = parser.parse_known_args(list(beam_args))[1]
    if not unknown:
        return None
    known = [name for action in parser._actions for name in action.option_strings]
    near = difflib.get_close_matches(unknown[0].partition("=")[0], known, n=1)
    return f"Beam has no option {unknown[0]!r}" + (f"; the nearest is {near[0]}." if near else ".")
