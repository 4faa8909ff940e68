"""The Pusher: versions that only grow, whole or absent, kept, pruned and rolled back."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from components.artifacts.pushed_model import PUSHED
from components.base import ComponentError, Context
from components.pusher import executor, push_record, versions
from components.pusher.component import Pusher
from models import files
from models.serving import saved_model


def make_model(folder: Path, content: str = "weights") -> Path:
    saved_model = folder / "Format-Serving"
    (saved_model / "variables").mkdir(parents=True)
    (saved_model / "saved_model.pb").write_text("graph")
    (saved_model / "variables" / "variables.data").write_text(content)
    return saved_model


def push(tmp_path: Path, serving_dir: Path, content: str = "weights", keep_versions: int = 3) -> dict:
    model = make_model(tmp_path / f"model-{content}-{len(list(tmp_path.iterdir()))}", content)
    return versions.push(model, serving_dir, keep_versions)


def contents(version: Path) -> str:
    return (version / "variables" / "variables.data").read_text()


def execute(tmp_path: Path, blessing: str, infra_blessing: str | None = None) -> tuple[dict, Path, Pusher.Parameters]:
    parameters = Pusher.Parameters(serving_dir=tmp_path / "serving")
    inputs = {"model": make_model(tmp_path / "model").parent}
    for key, name in {"blessing": blessing, "infra_blessing": infra_blessing}.items():
        if name:
            inputs[key] = tmp_path / key
            inputs[key].mkdir()
            (inputs[key] / name).touch()
    output = tmp_path / "pushed_model"
    output.mkdir()
    figures = executor.execute(inputs, {"pushed_model": output}, parameters, Context("run", tmp_path))
    return figures, output, parameters


def test_a_blessed_model_is_pushed_as_it_was_exported(tmp_path):
    figures, output, _ = execute(tmp_path, "BLESSED", "INFRA_BLESSED")
    assert figures == {"pushed_model": str(tmp_path / "serving" / "1"), "version": 1}
    pushed = json.loads((output / "pushed.json").read_text())
    assert pushed["version"] == 1 and len(pushed["digest"]) == 64
    files = {path.relative_to(tmp_path / "serving/1").as_posix() for path in (tmp_path / "serving/1").rglob("*")}
    assert files == {"saved_model.pb", "variables", "variables/variables.data"}


@pytest.mark.parametrize(
    ("blessing", "infra"), [("NOT_BLESSED", None), ("NOT_BLESSED", "INFRA_BLESSED"), ("BLESSED", "INFRA_NOT_BLESSED")]
)
def test_a_model_that_any_judge_refused_is_not_pushed(tmp_path, blessing, infra):
    figures, _, _ = execute(tmp_path, blessing, infra)
    assert figures == {"pushed_model": None, "version": None}
    assert not (tmp_path / "serving").exists()


def test_only_the_newest_versions_are_kept_and_numbers_are_never_used_again(tmp_path):
    serving = tmp_path / "serving"
    for content in "abcd":
        push(tmp_path, serving, content, keep_versions=2)
    assert versions.list_versions(serving) == [3, 4]
    shutil.rmtree(serving / "4")
    assert push(tmp_path, serving, "e")["version"] == 5


def test_folders_of_others_are_counted_but_never_removed(tmp_path):
    serving = tmp_path / "serving"
    (serving / "7").mkdir(parents=True)
    (serving / "notes").mkdir()
    (serving / "README").touch()
    for content in "abc":
        push(tmp_path, serving, content, keep_versions=1)
    assert versions.list_versions(serving) == [7, 10]
    assert (serving / "notes").is_dir() and (serving / "README").is_file()


def test_a_failed_copy_leaves_the_old_version_and_nothing_else(tmp_path, monkeypatch):
    serving = tmp_path / "serving"
    push(tmp_path, serving, "good")

    def half_a_copy(source, target):
        target.mkdir()
        (target / "saved_model.pb").touch()
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copytree", half_a_copy)
    with pytest.raises(ComponentError, match="pipeline.serving_dir.*No space left"):
        push(tmp_path, serving, "bad")
    assert {path.name for path in serving.iterdir()} == {"1", versions.LOCK_FILE, push_record.RECORD_FILE}
    assert contents(serving / "1") == "good"


def test_the_remains_of_a_killed_push_are_removed_by_the_next(tmp_path):
    serving = tmp_path / "serving"
    (serving / f"{versions.ASIDE}1").mkdir(parents=True)
    push(tmp_path, serving)
    assert not list(serving.glob(f"{versions.ASIDE}*"))


def _push_in_a_process(model: Path, serving: Path) -> None:
    versions.push(model, serving, keep_versions=20)


def test_pushes_at_once_leave_every_model_whole(tmp_path):
    serving = tmp_path / "serving"
    models = [make_model(tmp_path / str(i), str(i) * 100_000) for i in range(6)]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_push_in_a_process, args=(model, serving)) for model in models]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert versions.list_versions(serving) == [1, 2, 3, 4, 5, 6]
    assert {contents(serving / str(i)) for i in range(1, 7)} == {str(i) * 100_000 for i in range(6)}


def test_a_rollback_republishes_the_previous_version_and_a_second_one_an_older_version(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "second", "third"):
        push(tmp_path, serving, content, keep_versions=10)
    back = versions.roll_back(serving, 10)
    assert (back["version"], back["rollback_of"], back["replaced"]) == (4, 2, 3)
    assert contents(serving / "4") == "second"
    assert versions.roll_back(serving, 10)["rollback_of"] == 1
    assert contents(serving / "5") == "first"
    with pytest.raises(ComponentError, match="no version before 1 ") as error:
        versions.roll_back(serving, 10)
    assert "it holds 1, 2 (rolled back), 3 (rolled back), 4 (2 again), 5 (1 again))" in str(error.value)


def test_a_push_after_a_rollback_can_be_rolled_back_to_what_was_served(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "bad"):
        push(tmp_path, serving, content, keep_versions=10)
    versions.roll_back(serving, 10)
    push(tmp_path, serving, "worse", keep_versions=10)
    versions.roll_back(serving, 10)
    assert contents(serving / "5") == "first"


def test_a_model_that_was_rolled_back_is_not_pushed_again_by_itself(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "bad"):
        push(tmp_path, serving, content)
    versions.roll_back(serving, 3)
    with pytest.raises(versions.RolledBackError, match=r"is version 2 of .* rolled back.* copy .* to .*/serving/4\.$"):
        push(tmp_path, serving, "bad")
    assert versions.list_versions(serving) == [1, 2, 3]
    assert push(tmp_path, serving, "first")["version"] == 3, "it is what is served"
    assert push(tmp_path, serving, "third")["version"] == 4
    with pytest.raises(versions.RolledBackError):
        push(tmp_path, serving, "bad")
    assert push(tmp_path, serving, "first")["version"] == 5, "it was never rolled back"


def roll_back_the_model(tmp_path: Path) -> Path:
    """A folder in which the model that `execute` pushes was pushed second, then rolled back."""
    serving = tmp_path / "serving"
    for content in ("first", "weights"):
        push(tmp_path, serving, content)
    versions.roll_back(serving, 3)
    return serving


def test_the_run_warns_of_a_model_that_was_rolled_back(tmp_path):
    serving = roll_back_the_model(tmp_path)
    figures, output, _ = execute(tmp_path, "BLESSED")
    assert figures["pushed_model"] is None and "which was rolled back" in figures["warning"]
    assert PUSHED.read(output)["version"] is None and versions.list_versions(serving) == [1, 2, 3]


def test_a_push_that_was_refused_is_tried_again(tmp_path):
    roll_back_the_model(tmp_path)
    _, output, parameters = execute(tmp_path, "BLESSED")
    assert not pusher(parameters).still_valid({"pushed_model": output}), "a cached refusal would stay for ever"


def test_what_counts_is_the_newest_push_of_a_model(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "second", "first"):
        push(tmp_path, serving, content)
    assert versions.roll_back(serving, 9)["rollback_of"] == 2
    with pytest.raises(versions.RolledBackError, match="is version 3 of"):
        push(tmp_path, serving, "first")


def test_a_model_that_was_rolled_back_and_then_copied_by_hand_may_be_pushed_again(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "second"):
        push(tmp_path, serving, content)
    versions.roll_back(serving, 9)
    shutil.copytree(serving / "2", serving / "4")
    push(tmp_path, serving, "third")
    assert push(tmp_path, serving, "second")["version"] == 6


def test_a_folder_whose_name_is_no_text_is_pushed_to_and_recorded(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    figures, output, _ = execute(folder, "BLESSED")
    assert PUSHED.read(output)["path"] == figures["pushed_model"] == str(folder / "serving" / "1")


def test_there_is_nothing_to_roll_back_before_the_first_push(tmp_path):
    with pytest.raises(ComponentError, match="no version was pushed"):
        versions.roll_back(tmp_path / "serving", 3)


def pusher(parameters: Pusher.Parameters) -> Pusher:
    producer = {"model": "Model", "blessing": "ModelBlessing"}
    from components.base import Channel

    return Pusher(parameters, **{key: Channel("Before", key, kind) for key, kind in producer.items()})


def test_a_push_whose_folder_was_lost_or_damaged_is_not_valid(tmp_path):
    _, output, parameters = execute(tmp_path, "BLESSED")
    component, outputs = pusher(parameters), {"pushed_model": output}
    assert component.still_valid(outputs)
    (parameters.serving_dir / "1" / "saved_model.pb").unlink()
    assert not component.still_valid(outputs)
    shutil.rmtree(parameters.serving_dir)
    assert not component.still_valid(outputs)


def test_a_pruned_or_rolled_back_push_stays_valid(tmp_path):
    _, output, parameters = execute(tmp_path, "BLESSED")
    push(tmp_path, parameters.serving_dir, "newer", keep_versions=1)
    assert versions.list_versions(parameters.serving_dir) == [2]
    assert pusher(parameters).still_valid({"pushed_model": output})


def test_a_model_without_a_graph_and_a_serving_dir_that_is_a_file_are_component_errors(tmp_path):
    with pytest.raises(ComponentError, match="saved_model.pb is missing"):
        versions.push(tmp_path, tmp_path / "serving", 3)
    (tmp_path / "file").touch()
    with pytest.raises(ComponentError, match="pipeline.serving_dir"):
        push(tmp_path, tmp_path / "file")


def _die_in_a_push(model: Path, serving: Path, when: str) -> None:
    move = files.move_into_place

    def dying(folder, target):
        if when == "after the rename":
            move(folder, target)
        os.kill(os.getpid(), signal.SIGKILL)

    files.move_into_place = dying
    versions.push(model, serving, keep_versions=20)


def die_in_a_push(tmp_path: Path, serving: Path, when: str) -> None:
    model = make_model(tmp_path / "killed", "killed")
    process = multiprocessing.get_context("fork").Process(target=_die_in_a_push, args=(model, serving, when))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_version_that_never_appeared_is_not_rolled_back(tmp_path):
    serving = tmp_path / "serving"
    for content in ("first", "second"):
        push(tmp_path, serving, content)
    die_in_a_push(tmp_path, serving, "before the rename")
    assert versions.list_versions(serving) == [1, 2]
    back = versions.roll_back(serving, 20)
    assert (back["version"], back["rollback_of"], back["replaced"]) == (4, 1, 2)
    assert contents(serving / "4") == "first"


def test_a_push_that_was_killed_before_it_was_recorded_is_recognised(tmp_path):
    serving = tmp_path / "serving"
    push(tmp_path, serving, "first")
    die_in_a_push(tmp_path, serving, "after the rename")
    pushed = versions.push(tmp_path / "killed" / "Format-Serving", serving, 3)
    assert pushed["version"] == 2 and versions.list_versions(serving) == [1, 2]
    assert versions.roll_back(serving, 3)["rollback_of"] == 1


def test_a_rollback_chooses_a_version_with_other_contents(tmp_path):
    serving = tmp_path / "serving"
    push(tmp_path, serving, "first")
    shutil.copytree(serving / "1", serving / "2")  # a copy that another program may have put there
    with pytest.raises(ComponentError, match="no version before 2"):
        versions.roll_back(serving, 3)
    push(tmp_path, serving, "third")
    assert versions.roll_back(serving, 3)["rollback_of"] == 2


@pytest.mark.parametrize("damage", ["truncated", '{"a": 1}', "", "[3]", '[{"version": "1"}]', "\x00\xff"])
def test_a_damaged_record_is_renamed_and_rebuilt(tmp_path, damage, caplog):
    serving = tmp_path / "serving"
    for content in "abc":
        model = make_model(tmp_path / content, content)
        (model / saved_model.CARD.parent).mkdir()
        versions.push(model, serving, 2)
    (serving / "1").mkdir()  # a version that was not pushed
    record = serving / push_record.RECORD_FILE
    content = record.read_text()
    record.write_text(content[: content.rindex("digest")] if damage == "truncated" else damage)
    back = versions.roll_back(serving, 2)
    assert (back["version"], back["rollback_of"], contents(serving / "4")) == (4, 2, "b")
    assert "was damaged" in caplog.text and (serving / f"{push_record.RECORD_FILE}.damaged").exists()
    assert versions.list_versions(serving) == ([3, 4] if damage == "truncated" else [1, 3, 4])


def test_numbers_of_a_damaged_record_are_not_used_again(tmp_path):
    serving = tmp_path / "serving"
    for content in "abc":
        push(tmp_path, serving, content)
    for version in (2, 3):
        shutil.rmtree(serving / str(version))
    record = serving / push_record.RECORD_FILE
    record.write_text(record.read_text()[:-20])
    assert push(tmp_path, serving, "d")["version"] == 4


def test_a_push_waits_for_another_and_names_its_process(tmp_path, caplog):
    caplog.set_level("INFO")
    serving = tmp_path / "serving"
    serving.mkdir()
    with (serving / versions.LOCK_FILE).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        waiting = threading.Thread(target=push, args=(tmp_path, serving))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive() and "Waiting for another push" in caplog.text and "process 4711" in caplog.text
    waiting.join()
    assert versions.list_versions(serving) == [1]
