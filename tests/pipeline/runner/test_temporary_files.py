"""What a killed run leaves: nothing in the system's temporary folder, and nothing below the root after the next run."""

import fnmatch
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def _start(root: Path, data: Path, temporary: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipeline.run", "--local", "--until", "StatisticsGen"]
    settings = [f"pipeline.root={root}", "example_gen.dataset=text_files", f"example_gen.data_dir={data}"]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)


def _generated(root: Path) -> list[Path]:
    # os.walk allows folders to be removed meanwhile.
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return [path for path in paths if fnmatch.fnmatch(path.name, "*autograph*.py")]


def test_temporary_files_of_a_killed_run_are_below_the_root_and_go_with_the_next(tmp_path):
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    for folder in (data, temporary):
        folder.mkdir()
    for split in ("train", "valid", "test"):
        (data / f"{split}.txt").write_text(f"some words of {split}\n" * 1000)
    root = tmp_path / "root"
    run = _start(root, data, temporary)
    deadline = time.monotonic() + 120
    while not _generated(root) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert _generated(root), "killed while there were some"
    assert not list(temporary.iterdir())
    assert _start(root, data, temporary).wait(timeout=120) == 0
    assert not _generated(root)
    assert not list(temporary.iterdir())
