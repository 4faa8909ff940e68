"""The local runner: order, caching, whole outputs, gates, failures, one run in a root at a time."""

import importlib
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from pipeline.errors import RunnerError
from pipeline.exit_codes import FAILED, INTERRUPTED, REFUSED
from pipeline.metadata.store import Metadata
from pipeline.root import metadata_file, run_folder, staging_folder, work_folder, work_root
from pipeline.runner.local_runner import LocalRunner
from pipeline.runner.step import steps_of
from tests.pipeline.runner.fake_components import Climb, Ship, Shout, Source, chain, executions
from tests.pipeline.runner.world import files, run, statuses


@pytest.fixture(autouse=True)
def nothing_ran_yet():
    executions.clear()


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "output"


def test_outputs_lie_where_the_contract_says_and_hold_what_was_written(root):
    record = run(root)
    assert record["exit"] == 0
    assert set(statuses(record).values()) == {"executed"}
    assert files(root) == {
        "Source/text/1/text.txt",
        "Shout/shouted/2/text.txt",
        "Judge/blessing/3/BLESSED",
        "Ship/pushed_model/4/where",
    }
    assert (root / "Shout/shouted/2/text.txt").read_text() == "HELLO"


def test_figures_are_strict_json(root):
    shout = run(root)["components"][1]
    assert shout["figures"] == {"not_finite": None}


def test_an_unchanged_second_run_executes_nothing(root):
    first = run(root)
    executions.clear()
    second = run(root)
    assert executions == [] and set(statuses(second).values()) == {"cached"}
    assert [step["outputs"] for step in second["components"]] == [step["outputs"] for step in first["components"]]
    assert [step["figures"] for step in second["components"]] == [step["figures"] for step in first["components"]]


def test_a_changed_parameter_runs_its_component_and_what_depends_on_the_contents(root):
    run(root)
    assert statuses(run(root, blessed=False)) == {
        "Source": "cached",
        "Shout": "cached",
        "Judge": "executed",
        "Ship": "skipped",
    }
    assert set(statuses(run(root, text="bye")).values()) == {"executed"}


def test_a_changed_parameter_that_yields_the_same_contents_stops_there(root, tmp_path):
    (tmp_path / "hello.txt").write_text("hello")
    run(root)
    record = run(root, read_from=tmp_path / "hello.txt")
    assert statuses(record) == {"Source": "executed", "Shout": "cached", "Judge": "cached", "Ship": "cached"}


def test_a_changed_source_file_is_noticed(root, tmp_path):
    (tmp_path / "source.txt").write_text("one")
    run(root, read_from=tmp_path / "source.txt")
    (tmp_path / "source.txt").write_text("two")
    assert statuses(run(root, read_from=tmp_path / "source.txt"))["Source"] == "executed"


def test_no_cache_runs_everything_again(root):
    run(root)
    assert set(statuses(run(root, use_cache=False)).values()) == {"executed"}


@pytest.mark.parametrize("damage", ["removed", "changed", "added"])
def test_a_damaged_output_is_rebuilt(root, damage):
    run(root)
    output = root / "Shout" / "shouted" / "2"
    if damage == "removed":
        shutil.rmtree(output)
    elif damage == "changed":
        (output / "text.txt").write_text("HELLx")
    else:
        (output / "another.txt").touch()
    record = run(root)
    assert statuses(record) == {"Source": "cached", "Shout": "executed", "Judge": "cached", "Ship": "cached"}
    assert (root / record["components"][1]["outputs"]["shouted"]["uri"] / "text.txt").read_text() == "HELLO"


def test_a_copied_root_is_still_cached_though_times_differ(root, tmp_path):
    run(root, until="Judge")
    shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy)
    components = chain(root / "serving")
    assert set(statuses(run(tmp_path / "copy", components, until="Judge")).values()) == {"cached", "skipped"}


def test_a_lost_effect_outside_the_outputs_is_repeated(root):
    run(root)
    shutil.rmtree(root / "serving")
    assert statuses(run(root)) == {"Source": "cached", "Shout": "cached", "Judge": "cached", "Ship": "executed"}
    assert (root / "serving").exists()


def test_until_stops_after_the_named_component(root):
    record = run(root, until="Shout")
    assert record["exit"] == 0
    assert statuses(record) == {"Source": "executed", "Shout": "executed", "Judge": "skipped", "Ship": "skipped"}


def test_a_gate_that_refuses_stops_the_run_with_3_cached_or_not(root):
    for status in ("executed", "cached"):
        record = run(root, blessed=False)
        assert record["exit"] == REFUSED
        assert statuses(record)["Judge"] == status and statuses(record)["Ship"] == "skipped"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("component", "Shout: loss.gamma: found -1, expected a positive number."),
        ("unexpected", "Shout: ZeroDivisionError: division by zero"),
        ("disk full", "Shout: the disk with "),
        ("odd name", "Shout: caf\udce9.txt is a zip archive."),
    ],
)
def test_a_failed_component_leaves_nothing_and_one_message_that_names_it(root, error, message):
    record = run(root, error=error)
    assert record["exit"] == FAILED and record["error"].startswith(message) and "\n" not in record["error"]
    assert statuses(record) == {"Source": "executed", "Shout": "failed", "Judge": "skipped", "Ship": "skipped"}
    assert files(root) == {"Source/text/1/text.txt"}
    assert "Traceback" in (run_folder(root, record["run_id"]) / "error.log").read_text()


def test_a_source_that_is_missing_fails_its_component_before_it_runs(root, tmp_path):
    record = run(root, read_from=tmp_path / "missing.txt")
    assert (record["exit"], executions) == (1, [])
    assert record["error"] == f"Source: example_gen.data_dir: there is no {tmp_path / 'missing.txt'}."


def test_an_interrupt_leaves_nothing_half_written(root):
    with pytest.raises(KeyboardInterrupt):
        run(root, error="interrupt")
    assert files(root) == {"Source/text/1/text.txt"}
    with Metadata(metadata_file(root)) as records:
        assert records.runs()[0]["exit"] == INTERRUPTED and records.running() == {}


def _run_in_a_process(root: Path, error: str) -> None:
    os.setsid()
    run(root, error=error)


def test_a_killed_run_leaves_what_was_finished_and_the_next_one_clears_the_rest(root):
    process = multiprocessing.get_context("fork").Process(target=_run_in_a_process, args=(root, "kill"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(staging_folder(root).iterdir())
    others = root / "Documents/invoices/2"  # 2 is the execution that was killed
    others.mkdir(parents=True)
    removed = [work_root(root) / "removed-0a1b2c3d", work_root(root) / "Trainer/removed-0a1b2c3d"]
    for folder in removed:  # as a kill leaves them while they are being removed
        (folder / "checkpoint").mkdir(parents=True)
    record = run(root)
    assert statuses(record)["Source"] == "cached" and record["exit"] == 0
    assert not staging_folder(root).exists() or not list(staging_folder(root).iterdir())
    assert others.exists() and not any(folder.exists() for folder in removed)
    with Metadata(metadata_file(root)) as records:
        assert records.running() == {}


def test_a_resumable_component_resumes_from_its_workspace(root, monkeypatch):
    monkeypatch.setattr(Climb, "fall_after", 2)
    assert run(root, [Climb(Climb.Parameters())])["error"] == "Climb: fell"
    assert run(root, [Climb(Climb.Parameters(steps=9))])["exit"] == FAILED  # another setting has its own workspace
    monkeypatch.setattr(Climb, "fall_after", None)
    record = run(root, [Climb(Climb.Parameters())])
    assert record["components"][0]["figures"] == {"started_at": 2}
    (remaining,) = work_folder(root, "Climb").iterdir()  # a finished one is removed
    assert (remaining / "height").read_text() == "2"


def test_a_larger_budget_continues_finished_work(root, monkeypatch):
    monkeypatch.setattr(Climb, "BUDGET", ("steps",))
    starts = []
    for steps, use_cache in [(3, True), (5, True), (3, True), (7, False), (9, True)]:
        record = run(root, [Climb(Climb.Parameters(steps=steps))], use_cache=use_cache)
        [climb] = record["components"]
        starts.append(climb["figures"]["started_at"] if climb["status"] == "executed" else climb["status"])
    assert starts == [0, 3, "cached", 0, 7]  # without the cache finished work is done again, too


def test_one_run_at_a_time_in_a_root(root):
    with LocalRunner(root):
        with pytest.raises(RunnerError, match=f"another run is using {root} .process {os.getpid()}"):
            LocalRunner(root).__enter__()
    run(root)  # free again


def test_a_root_that_cannot_be_used_is_reported(tmp_path):
    (tmp_path / "file").touch()
    for unusable in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunnerError, match="pipeline.root.*is a file, expected a folder"):
            LocalRunner(unusable).__enter__()
    with pytest.raises(RunnerError, match="pipeline.root.*cannot be written"):
        LocalRunner(Path("/sys/pipeline-root")).__enter__()  # read-only for root, too


def test_components_must_come_after_those_they_read(root):
    components = chain(root)
    with pytest.raises(ValueError, match="Shout reads Source's 'text'"):
        run(root, components[::-1][2:])
    with pytest.raises(ValueError, match="Source is in the pipeline twice"):
        run(root, [components[0], components[0]])


def test_the_lineage_leads_from_the_last_output_back_to_the_source(root):
    record = run(root)
    run(root)
    with Metadata(metadata_file(root), read_only=True) as records:
        ship = record["components"][-1]["outputs"]["pushed_model"]["artifact_id"]
        assert [step["component"] for step in records.lineage(ship)] == ["Ship", "Shout", "Judge", "Source"]
        cached = records.properties("Execution", 8)
        assert cached == {"cached_execution": 4}
        assert [run["run_id"] for run in records.runs()][-1] == record["run_id"]


def test_the_code_of_a_component_counts(root, tmp_path, monkeypatch):
    component = (
        "from components.base import Component\n"
        "class {name}(Component):\n"
        "    OUTPUTS = {{'text': 'Text'}}\n"
        "    def execute(self, inputs, outputs, context):\n"
        "        (outputs['text'] / 'text.txt').write_text('text')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    components = []
    for name in ("Kept", "Edited"):
        (tmp_path / f"module_of_{name.lower()}.py").write_text(component.format(name=name))
        kind = getattr(importlib.import_module(f"module_of_{name.lower()}"), name)
        components.append(kind(kind.Parameters()))
    components.append(Shout(Shout.Parameters(), text=components[1].outputs["text"]))
    run(root, components)
    assert set(statuses(run(root, components)).values()) == {"cached"}
    with (tmp_path / "module_of_edited.py").open("a") as file:
        file.write("# edited\n")
    assert statuses(run(root, components)) == {"Kept": "cached", "Edited": "executed", "Shout": "cached"}


@pytest.mark.parametrize(("until", "leads"), [(None, [True, True, False, False]), ("Source", [False] * 4)])
def test_a_step_knows_whether_a_later_component_works_in_a_child_process(tmp_path, monkeypatch, until, leads):
    monkeypatch.setattr(Shout, "IN_CHILD", True)
    assert [step.leads_to_child for step in steps_of(chain(tmp_path), until)] == leads


def test_the_process_of_a_later_component_starts_with_the_first_that_executes_and_ends_with_the_run(root, monkeypatch):
    monkeypatch.setattr(Shout, "IN_CHILD", True)
    waiting = {}  # component -> number of processes while it executes, or Ship while its outputs are checked

    def count_processes(component, method):
        real = getattr(component, method)

        def counted(self, *arguments):
            waiting[self.name] = len(multiprocessing.active_children())
            return real(self, *arguments)

        monkeypatch.setattr(component, method, counted)

    count_processes(Source, "execute")
    count_processes(Shout, "execute")
    count_processes(Ship, "still_valid")
    run(root)
    assert waiting == {"Source": 1, "Shout": 1} and not multiprocessing.active_children()
    waiting.clear()
    run(root)  # all are cached
    assert waiting == {"Ship": 0}
    waiting.clear()
    run(root, error="none of these")  # the first is cached
    assert waiting["Shout"] == 1 and "Source" not in waiting


def test_a_process_that_no_component_used_ends_with_the_run(root, monkeypatch):
    monkeypatch.setattr(Shout, "IN_CHILD", True)  # pretend that it works in a child process
    run(root)
    assert not multiprocessing.active_children()
