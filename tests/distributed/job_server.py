"""Beam's job server and a pool of its workers on loopback, each in its own process, as people start them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from tests.distributed.data_chain import REPOSITORY, wait_for


class JobServer:
    """Starts both on entering; a context manager.

    The server is the one that comes with Beam for Python. It takes jobs as Flink's and Spark's do, from other processes
    and with Beam's own protocol, and hands them to the workers of the pool.

    Args:
        folder: An empty folder, where all of it runs: not the repository, so that no path may be relative.
    """

    def __init__(self, folder):
        self._folder = folder
        python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # the pool starts `python`
        self._environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": python}

    def __enter__(self):
        self._port, pool = free_port(), free_port()
        self.endpoint = f"127.0.0.1:{self._port}"
        self._pool = self._start("worker.worker_pool_main", pool, "--service_port", str(pool))
        self.start_server()
        self.beam_args = [
            "--runner=FlinkRunner", "--flink_master=127.0.0.1:8081", "--parallelism=2",
            f"--job_endpoint={self.endpoint}", "--environment_type=EXTERNAL", f"--environment_config=127.0.0.1:{pool}",
        ]  # fmt: skip
        return self

    def __exit__(self, *_):
        for process in (self._pool, self.process):
            process.terminate()  # killing the pool would leave its workers behind
            process.wait()

    def start_server(self):
        """Starts the job server, also again at the same address after it was killed."""
        self.process = self._start("portability.local_job_service_main", self._port, "--port", str(self._port))

    def _start(self, module, port, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", f"apache_beam.runners.{module}", *arguments],
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "log.txt").open("ab"),
        )
        wait_for(lambda: answers(port))
        return process

    def jobs(self):
        """Returns the submitted jobs, with their options, and their pipelines."""
        with grpc.insecure_channel(self.endpoint) as channel:
            stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
            jobs = stub.GetJobs(beam_job_api_pb2.GetJobsRequest()).job_info
            requests = [beam_job_api_pb2.GetJobPipelineRequest(job_id=job.job_id) for job in jobs]
            return [(job, stub.GetPipeline(request).pipeline) for job, request in zip(jobs, requests, strict=True)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
