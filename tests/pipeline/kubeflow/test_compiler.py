"""The compiled file: the pipeline of `create_pipeline`, with what the configuration says of containers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import config
from pipeline.exit_codes import USAGE_ERROR
from pipeline.pipeline import create_pipeline

REPOSITORY = Path(__file__).parents[3]
IMAGE = ["kubeflow.image=registry/image:1", "pipeline.root=/mnt/pipeline/output"]


def compile_(tmp_path, *assignments, flags=(), without_kfp=False):
    """The finished command that compiles to `pipeline.yaml`."""
    code = f"import sys; sys.modules.update({{'kfp': None}} if {without_kfp} else {{}}); from pipeline import run; "
    arguments = ["--compile", "kubeflow", "--output", str(tmp_path / "pipeline.yaml"), *flags]
    arguments += [argument for assignment in assignments for argument in ("--set", assignment)]
    return subprocess.run(
        [sys.executable, "-c", code + "run.command(sys.argv[1:])", *arguments],
        cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip


def compiled(tmp_path, *assignments, **options):
    """The documents of the compiled file: the pipeline and, where there is one, the platform's part."""
    done = compile_(tmp_path, *IMAGE, *assignments, **options)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return list(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text()))


def tasks(spec):
    """Name -> task, of the root and of everything below it."""
    found = dict(spec["root"]["dag"]["tasks"])
    for component in spec["components"].values():
        found |= component.get("dag", {}).get("tasks", {})
    return found


def test_without_kfp_the_extra_is_named_and_nothing_is_written(tmp_path):
    done = compile_(tmp_path, *IMAGE, without_kfp=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-e '.[kubeflow]'" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.kubeflow
class TestCompiled:
    @pytest.mark.parametrize("flags", [(), ("--tune",)])
    def test_each_component_of_the_pipeline_is_a_container_of_one_image_with_its_typed_artifacts(self, tmp_path, flags):
        [spec] = compiled(tmp_path, flags=flags)
        assignments = ["tuner.enabled=true"] if flags else []
        components = create_pipeline(config.load(REPOSITORY / "pipeline_config.yaml", assignments).settings)
        executors = spec["deploymentSpec"]["executors"]
        assert [executor["container"]["args"][0] for executor in executors.values()] == sorted(
            component.name for component in components
        )
        assert {executor["container"]["image"] for executor in executors.values()} == {"registry/image:1"}
        for component in components:
            name = component.executor_module.split(".")[1].replace("_", "-")
            definition = spec["components"][f"comp-{name}"]
            for place, channels in (("input", component.inputs), ("output", component.outputs)):
                artifacts = definition.get(f"{place}Definitions", {}).get("artifacts", {})
                types = {key: yaml.safe_load(of["artifactType"]["instanceSchema"]) for key, of in artifacts.items()}
                expected = {key: {"title": f"tfx.{of.type}", "type": "object"} for key, of in channels.items()}
                assert types == expected, name

    def test_what_comes_after_a_gate_is_below_its_condition(self, tmp_path):
        [spec] = compiled(tmp_path)
        root = spec["root"]["dag"]["tasks"]
        assert "infra-validator" not in root and "pusher" not in root
        after_evaluator = spec["components"]["comp-condition-1"]["dag"]["tasks"]
        assert after_evaluator.keys() == {"infra-validator", "condition-2"}
        assert spec["components"]["comp-condition-2"]["dag"]["tasks"].keys() == {"pusher"}
        for condition, gate in (
            (root["condition-1"], "evaluator"),
            (after_evaluator["condition-2"], "infra-validator"),
        ):
            asked = f"inputs.parameter_values['pipelinechannel--{gate}-Output'] == 'true'"
            assert condition["triggerPolicy"]["condition"] == asked
            verdict = {"producerTask": gate, "outputParameterKey": "Output"}
            assert condition["inputs"]["parameters"][f"pipelinechannel--{gate}-Output"] == {
                "taskOutputParameter": verdict
            }

    def test_training_waits_for_the_check_of_the_data(self, tmp_path):
        [spec] = compiled(tmp_path)
        for name in ("vocabulary-gen", "transform", "trainer", "evaluator", "condition-1"):
            assert "example-validator" in spec["root"]["dag"]["tasks"][name]["dependentTasks"]

    def test_all_but_what_depends_on_the_serving_folder_or_the_machine_is_cached(self, tmp_path):
        [spec] = compiled(tmp_path)
        uncached = [name for name, task in tasks(spec).items() if task.get("cachingOptions") == {}]
        assert sorted(uncached) == ["evaluator", "infra-validator", "pusher"]
        [spec] = compiled(tmp_path, flags=("--no-cache",))
        assert not any(task.get("cachingOptions", {}).get("enableCache") for task in tasks(spec).values())

    def test_the_same_configuration_compiles_to_the_same_file(self, tmp_path):
        assert compiled(tmp_path) == compiled(tmp_path)

    def test_resources_retries_and_the_volume_are_those_of_the_configuration(self, tmp_path):
        spec, platform = compiled(
            tmp_path, "kubeflow.retries=5", "kubeflow.volume_claim=corpora",
            "kubeflow.resources={Trainer: {cpu: 8, memory: 32G, accelerator: nvidia.com/gpu, accelerators: 2}, "
            "Transform: {memory: 4Gi}}",
        )  # fmt: skip
        executors = spec["deploymentSpec"]["executors"]
        trainer = executors["exec-trainer"]["container"]["resources"]
        assert (trainer["resourceCpuLimit"], trainer["resourceCpuRequest"]) == ("8", "8")
        assert (trainer["resourceMemoryLimit"], trainer["resourceMemoryRequest"]) == ("32G", "32G")
        assert trainer["accelerator"]["resourceType"] == "nvidia.com/gpu"
        assert trainer["accelerator"]["resourceCount"] == "2"
        assert executors["exec-transform"]["container"]["resources"]["resourceMemoryLimit"] == "4Gi"
        assert "resources" not in executors["exec-evaluator"]["container"]
        retried = {name: task["retryPolicy"] for name, task in tasks(spec).items() if "retryPolicy" in task}
        assert len(retried) == 9 and {policy["maxRetryCount"] for policy in retried.values()} == {5}
        mounts = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert mounts.keys() == executors.keys()
        assert {(mount["pvcMount"][0]["constant"], mount["pvcMount"][0]["mountPath"]) for mount in mounts.values()} == {
            ("corpora", "/mnt/pipeline")
        }

    def test_data_epochs_and_thresholds_are_parameters_of_a_run(self, tmp_path):
        [spec] = compiled(tmp_path, "trainer.epochs=7", "evaluator.max_perplexity=90")
        parameters = spec["root"]["inputDefinitions"]["parameters"]
        defaults = {name: parameter["defaultValue"] for name, parameter in parameters.items()}
        assert defaults == {
            "data_dir": "null", "pattern": "**/*.txt{,.gz}", "data_version": "", "epochs": 7, "max_perplexity": "90.0",
            "max_regression": 0.02, "max_latency_ms": 1000,
        }  # fmt: skip
        args = spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]["args"]
        at = args.index("--set")
        assert args[at : at + 3] == ["--set", "epochs", "{{$.inputs.parameters['epochs']}}"]
        assert json.loads(args[args.index("--parameters") + 1])["epochs"] == 7
        takes = {
            name for name, task in tasks(spec).items() if "data_version" in task.get("inputs", {}).get("parameters", {})
        }
        assert takes == {"example-gen", "example-validator", "trainer", "evaluator"}

    @pytest.mark.parametrize(
        ("assignments", "expected"),
        [
            (["kubeflow.image=null"], "kubeflow.image is not set"),
            (["pipeline.root=output"], "pipeline.serving_dir: found 'output/serving', expected an absolute path"),
            (
                ["kubeflow.resources={Trainr: {cpu: 8}}"],
                "'Trainr', expected names of components. The nearest",
            ),
            (["kubeflow.resources={Trainer: {memory: much}}"], "kubeflow.resources.Trainer.memory (from --set)"),
            (["kubeflow.resources={Trainer: {accelerators: 2}}"], "expected the type, accelerator, with it"),
            (["trainer.strategy=multi_worker_mirrored"], "trainer.strategy: found 'multi_worker_mirrored', expected"),
            (["kubeflow.retries=-1"], "kubeflow.retries (from --set): found -1"),
        ],
    )
    def test_what_cannot_be_compiled_is_named_and_nothing_is_written(self, tmp_path, assignments, expected):
        done = compile_(tmp_path, *IMAGE, *assignments)
        assert (done.returncode, done.stdout) == (2, "")
        assert expected in done.stderr and "Traceback" not in done.stderr
        assert not list(tmp_path.iterdir())

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path):
        done = compile_(tmp_path / "nowhere", *IMAGE)
        assert done.returncode == USAGE_ERROR
        assert f"--output {tmp_path / 'nowhere' / 'pipeline.yaml'} cannot be written" in done.stderr
