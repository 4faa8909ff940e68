"""A Dask scheduler and its workers on loopback, each in its own process, as people start them."""

import os
import subprocess
import sys

import distributed

from tests.distributed.data_chain import REPOSITORY, wait_for

RUNNER = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"


class Cluster:
    """Starts the scheduler on entering; a context manager.

    Args:
        folder: An empty folder, where all of it runs: not the repository, so that no path may be relative.
    """

    def __init__(self, folder):
        self._folder = folder
        self._environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.workers = {}

    def __enter__(self):
        file = self._folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        wait_for(file.exists)
        self.file = file
        self._client = distributed.Client(scheduler_file=str(file), set_as_default=False)
        self.beam_args = [RUNNER, f"--dask_scheduler_file={file}", "--dask_partition_size=1"]
        return self

    def __exit__(self, *_):
        self._client.close()
        for process in (*self.workers.values(), self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *arguments):
        command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
        return subprocess.Popen(
            command,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "log.txt").open("ab"),
        )

    def start_worker(self, name):
        """Starts a worker of one thread and waits until the scheduler knows it."""
        options = ("--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", str(self._folder / name))
        self.workers[name] = self._start("worker", "--scheduler-file", str(self.file), *options)
        wait_for(lambda: name in {worker["name"] for worker in self._known().values()})

    def _known(self):
        return self._client.scheduler_info(n_workers=-1)["workers"]

    def busy(self):
        """Returns the name of a worker that has a task, or None."""
        busy = [address for address, tasks in self._client.processing().items() if tasks]
        known = self._known()
        return next((known[address]["name"] for address in busy if address in known), None)

    def kill(self, name):
        """Kills a worker, as when its machine is lost."""
        process = self.workers.pop(name)
        process.kill()
        process.wait()
