"""The compiled file, run by kfp's own local runner: the results of `--local`, and no push of what a gate refuses."""

import json
import os
import pydoc_data.topics
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("kfp", reason="The extra `kubeflow` is not installed: pip install -e '.[kubeflow]'.")

from kfp import components, local  # noqa: E402
from kfp.local import docker_task_handler, status  # noqa: E402

pytestmark = pytest.mark.kubeflow

REPOSITORY = Path(__file__).parents[3]
IMAGE = os.environ.get("KUBEFLOW_TEST_IMAGE")  # built from this checkout by its Dockerfile
BEFORE_GATES = "example-gen statistics-gen example-validator vocabulary-gen transform trainer".split()


def process_of_component(handler) -> status.Status:
    """Runs a container's command in a process; the rest of kfp's runner is the real one."""
    command = [sys.executable, *handler.full_command[1:]]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, cwd=handler.pipeline_root, capture_output=True, text=True)
    print(done.stdout, done.stderr)
    return status.Status.FAILURE if done.returncode else status.Status.SUCCESS


class Runs:
    """A compiled pipeline, its runs by kfp, and a run of `--local` with the same configuration."""

    def __init__(self, root: Path):
        self.root = root
        self._write_texts()
        command = [sys.executable, "-m", "pipeline.run"]
        to_local = self.settings(root / "local")
        done = subprocess.run([*command, "--local", *to_local], cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self.expected = json.loads(done.stdout.splitlines()[-1])
        to_compile = ["--output", str(root / "pipeline.yaml"), *self.settings(root / "work")]
        subprocess.run([*command, "--compile", "kubeflow", *to_compile], cwd=REPOSITORY, check=True)
        self.serving = root / "work" / "serving"

    def settings(self, output: Path) -> list[str]:
        values = {
            "pipeline.root": output,
            "example_gen.dataset": "text_files",
            "example_gen.data_dir": self.root / "texts",
            "model.units": 16,
            "model.dropout": 0,
            "trainer.batch_size": 4,
            "trainer.epochs": 3,
            "trainer.learning_rate": 0.5,
            "infra_validator.max_latency_ms": 60_000,
            "kubeflow.image": IMAGE or "none",
            "kubeflow.retries": 0,
        }
        return [text for key, value in values.items() for text in ("--set", f"{key}={value}")]

    def run(self, **parameters) -> Path:
        """Runs the compiled file; returns the folder in which the run has a folder for each component that ran."""
        before = set(self.root.glob("tied-language-model-*"))
        runner = local.DockerRunner(network_mode="none", user=f"{os.getuid()}:{os.getgid()}")  # whose folder it is
        local.init(runner, pipeline_root=str(self.root), enable_caching=True)
        components.load_component_from_file(str(self.root / "pipeline.yaml"))(**parameters)
        [made] = set(self.root.glob("tied-language-model-*")) - before
        return made

    def _write_texts(self) -> None:
        for i, text in enumerate(sorted(set(pydoc_data.topics.topics.values()), key=len)[:60]):
            path = self.root / "texts" / {0: "valid", 1: "test"}.get(i % 10, "train") / f"{i}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module", params=["process", "container"])
def runs(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "process":
            patch.setattr(docker_task_handler.DockerTaskHandler, "run", process_of_component)
        elif not IMAGE:
            pytest.skip("KUBEFLOW_TEST_IMAGE names no image of this checkout (docs/scaling.md).")
        yield Runs(tmp_path_factory.mktemp("kubeflow"))


@pytest.fixture(scope="module")
def first(runs):
    return runs.run()


def executed(run: Path) -> set[str]:
    """The components that ran, not those whose results of an earlier run were reused."""
    return {folder.name for folder in run.iterdir() if any(folder.iterdir())}


def test_the_perplexities_are_those_of_the_local_runner_and_the_model_is_pushed(runs, first):
    splits = json.loads((first / "evaluator" / "evaluation" / "evaluation.json").read_text())["splits"]
    for split, name in (("eval", "valid_perplexity"), ("test", "test_perplexity")):
        assert splits[split]["perplexity"] == pytest.approx(runs.expected[name], rel=1e-6)
    assert [path.name for path in runs.serving.glob("[0-9]*")] == ["1"]
    pushed = json.loads((first / "pusher" / "pushed_model" / "pushed.json").read_text())
    assert pushed["path"] == str(runs.serving / "1")
    assert executed(first) == {*BEFORE_GATES, "evaluator", "infra-validator", "pusher"}
    assert not list((runs.root / "work" / ".work").iterdir())  # the checkpoints of a training that has finished


def test_a_model_that_the_evaluator_refuses_is_not_pushed(runs, first):
    refused = runs.run(max_perplexity="1.5")
    assert (refused / "evaluator" / "blessing" / "NOT_BLESSED").is_file()
    assert executed(refused) == {"evaluator"}  # the rest is reused or, after the gate, skipped
    assert [path.name for path in runs.serving.glob("[0-9]*")] == ["1"]


def test_a_model_that_the_infra_validator_refuses_is_not_pushed(runs, first):
    shutil.rmtree(runs.serving)
    refused = runs.run(max_latency_ms=0.001)
    assert (refused / "evaluator" / "blessing" / "BLESSED").is_file()
    assert (refused / "infra-validator" / "blessing" / "INFRA_NOT_BLESSED").is_file()
    assert executed(refused) == {"evaluator", "infra-validator"}
    assert not runs.serving.exists()


def test_the_same_data_are_reused_unless_the_run_names_another_version(runs, first):
    (runs.root / "texts").rename(runs.root / "elsewhere")
    try:
        assert executed(runs.run()) >= {"evaluator"}
        with pytest.raises(RuntimeError, match="example-gen"):
            runs.run(data_version="2")
    finally:
        (runs.root / "elsewhere").rename(runs.root / "texts")
