"""Compiles the pipeline to the YAML that Kubeflow Pipelines and Vertex AI run: a container for each component."""

import contextlib
import difflib
import inspect
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kfp import compiler, dsl
from kfp.dsl import container_component_class, structures

from components.base import Component
from pipeline import config
from pipeline.config.settings import ComponentResources, KubeflowSettings
from pipeline.root import work_folder
from pipeline.runner.code_digest import code_digest

PIPELINE = "tied-language-model"
ENTRYPOINT = ["python", "-m", "pipeline.kubeflow.entrypoint"]
# Parameters of the components that a submitted run may set; their defaults are the compiled configuration's.
RUNTIME = ("data_dir", "pattern", "epochs", "max_perplexity", "max_regression", "max_latency_ms")
DATA_VERSION = "data_version"
# The output of a gate. With any other name, kfp's local runner treats a condition on it as false.
VERDICT = "Output"
NULL = "null"  # stands for None in a parameter that is text
# kfp allows artifact types only in its own namespaces; in the compiled file they are renamed to TFX's form.
_KFP_TYPE = re.compile(r"schemaTitle: system\.(\w+)\n *schemaVersion: 0\.0\.1")
TYPES = {int: "Integer", float: "Float", str: "String"}


def compile_pipeline(components: Sequence[Component], settings: KubeflowSettings, root: Path, use_cache: bool) -> str:
    """Compiles the pipeline to KFP's intermediate representation, as YAML.

    A component waits for the components whose outputs it reads, and for earlier checks whose outputs no component
    reads. What comes after a gate runs only if the gate blesses the model.

    Args:
        components: In the order in which they run.
        settings: The section `kubeflow`.
        root: `pipeline.root`, below which unfinished trainings are kept.
        use_cache: Whether a component may reuse what an earlier run made from the same inputs.

    Raises:
        ConfigurationError: If the settings cannot be used.
    """
    _check(components, settings)
    parameters = {name: default for component in components for name, default in _runtime(component).items()}

    def pipeline(*given: Any) -> None:
        values = dict(zip(parameters, given, strict=True))
        read = {channel.producer for component in components for channel in component.inputs.values()}
        tasks: dict[str, dsl.PipelineTask] = {}
        with contextlib.ExitStack() as blessed:
            for component in components:
                inputs = {
                    key: tasks[channel.producer].outputs[channel.key] for key, channel in component.inputs.items()
                }
                task = _container(component, settings.image, root)(
                    **inputs, **{name: values[name] for name in _runtime(component)}
                )
                task.after(*(task for name, task in tasks.items() if name not in read))
                task.set_display_name(component.name)
                task.set_caching_options(use_cache and _is_cacheable(component))
                task.set_retry(settings.retries)
                _set_resources(task, settings, component.name)
                tasks[component.name] = task
                if component.GATE:
                    blessed.enter_context(dsl.If(task.outputs[VERDICT] == "true", name=f"{component.name} blessed"))

    pipeline.__signature__ = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=type(default))
            for name, default in parameters.items()
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pipeline.yaml")
        compiler.Compiler().compile(dsl.pipeline(pipeline, name=PIPELINE), str(file))
        return _KFP_TYPE.sub(r'instanceSchema: "title: tfx.\1\\ntype: object\\n"', file.read_text(encoding="utf-8"))


def _check(components: Sequence[Component], settings: KubeflowSettings) -> None:
    if settings.image is None:
        raise config.ConfigurationError(
            "kubeflow.image is not set: each component runs in a container of an image with this project, such as "
            "--set kubeflow.image=REGISTRY/tied-lm:1 (docs/scaling.md says how to build one)."
        )
    for component in components:
        if getattr(component.parameters, "strategy", "mirrored") != "mirrored":
            raise config.ConfigurationError(
                "trainer.strategy: found 'multi_worker_mirrored', expected 'mirrored': Kubeflow Pipelines starts one "
                "container for each component."
            )
        folder = getattr(component.parameters, "serving_dir", None)
        if folder is not None and not folder.is_absolute():
            raise config.ConfigurationError(
                f"pipeline.serving_dir: found {str(folder)!r}, expected an absolute path on a file system that the "
                "containers mount: a relative folder is lost with its container. Set pipeline.root or serving_dir."
            )
    known = [kind.__name__ for kind in Component.__subclasses__()]
    for name in settings.resources:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise config.ConfigurationError(
                f"kubeflow.resources: found {name!r}, expected names of components. The nearest is {nearest}."
            )


def _runtime(component: Component) -> dict[str, int | float | str]:
    """Returns the run's parameters that the component takes, with their defaults; one that may be null is text.

    KFP's cache compares the names of files, never their contents. A component that reads files outside its inputs
    therefore also takes the version of the data: another version makes it run again.
    """
    defaults = {}
    for name in RUNTIME:
        if name in type(component.parameters).model_fields:
            value = getattr(component.parameters, name)
            kind = type(component.parameters).model_fields[name].annotation
            defaults[name] = value if kind in TYPES else NULL if value is None else str(value)
    if type(component).external_state is not Component.external_state:
        defaults[DATA_VERSION] = ""
    return defaults


def _is_cacheable(component: Component) -> bool:
    """Returns whether equal inputs give equal results. The serving folder changes with each push."""
    judges_itself = type(component).still_valid is not Component.still_valid
    return not judges_itself and "serving_dir" not in type(component.parameters).model_fields


def _container(component: Component, image: str, root: Path) -> container_component_class.ContainerComponent:
    """Converts the component to one of kfp's: typed artifacts, and a command line for the entrypoint."""
    runtime = _runtime(component)
    inputs = {key: structures.InputSpec(_type(channel.type)) for key, channel in component.inputs.items()}
    inputs |= {name: structures.InputSpec(TYPES[type(default)]) for name, default in runtime.items()}
    outputs = {key: structures.OutputSpec(_type(channel.type)) for key, channel in component.outputs.items()}
    arguments = [component.name, "--code", code_digest(type(component))]
    arguments += ["--parameters", json.dumps(component.parameters.model_dump(mode="json"))]
    arguments += ["--run-id", dsl.PIPELINE_JOB_NAME_PLACEHOLDER]
    arguments += ["--record", dsl.PIPELINE_TASK_EXECUTOR_OUTPUT_PATH_PLACEHOLDER]
    for name in filter(DATA_VERSION.__ne__, runtime):
        arguments += ["--set", name, f"{{{{$.inputs.parameters['{name}']}}}}"]
    for key in component.inputs:
        arguments += ["--input", key, f"{{{{$.inputs.artifacts['{key}'].path}}}}"]
    for key in component.outputs:
        place = f"$.outputs.artifacts['{key}']"
        arguments += ["--output", key, f"{{{{{place}.path}}}}", f"{{{{{place}.uri}}}}"]
    if component.RESUMABLE:
        arguments += ["--workspace", str(work_folder(root, f"{component.name}-{dsl.PIPELINE_JOB_ID_PLACEHOLDER}"))]
    if component.GATE:
        outputs[VERDICT] = structures.OutputSpec("String")
        arguments += ["--verdict", f"{{{{$.outputs.parameters['{VERDICT}'].output_file}}}}"]
    container = structures.ContainerSpecImplementation(image, ENTRYPOINT, arguments)
    name = type(component).__module__.split(".")[-2].replace("_", "-")
    summary = type(component).__doc__.partition("\n")[0]
    spec = structures.ComponentSpec(name, structures.Implementation(container), summary, inputs, outputs)
    return container_component_class.ContainerComponent(spec, None)


def _type(name: str) -> str:
    return f"system.{name}@0.0.1"


def _set_resources(task: dsl.PipelineTask, settings: KubeflowSettings, name: str) -> None:
    asked = settings.resources.get(name, ComponentResources())
    if asked.cpu:
        task.set_cpu_request(f"{asked.cpu:g}").set_cpu_limit(f"{asked.cpu:g}")
    if asked.memory:
        task.set_memory_request(asked.memory).set_memory_limit(asked.memory)
    if asked.accelerator:
        task.set_accelerator_type(asked.accelerator).set_accelerator_limit(asked.accelerators)
    if settings.volume_claim:
        from kfp import kubernetes

        kubernetes.mount_pvc(task, pvc_name=settings.volume_claim, mount_path=settings.volume_path)
