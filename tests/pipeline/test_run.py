"""The command line, as scripts and people use it: in separate processes."""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from components.pusher import versions
from pipeline import report
from pipeline.exit_codes import FAILED, INTERRUPTED, TERMINATED, USAGE_ERROR
from pipeline.root import metadata_file, run_folder, staging_folder

REPOSITORY = Path(__file__).parents[2]
SUMMARY_KEYS = {
    "run_id",
    "exit",
    "blessed",
    "pushed_model",
    "valid_perplexity",
    "test_perplexity",
    "train_tokens_per_second",
    "replicas",
    "seconds",
    "components",
}


def command(*arguments: str, module: str = "pipeline.run", **fake_options) -> subprocess.CompletedProcess:
    environment = os.environ | {"FAKE_OPTIONS": json.dumps(fake_options)}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )


def fake(root: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
    arguments = arguments or ("--local",)
    return command(*arguments, "--set", f"pipeline.root={root}", module="tests.pipeline.runner.fake_run", **options)


def summary(completed: subprocess.CompletedProcess) -> dict:
    return json.loads(completed.stdout.splitlines()[-1])


def test_help_and_usage_errors_load_nothing_heavy():
    code = (
        "import sys; from pipeline import run\n"
        "try: run.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'numpy', 'pydantic', 'rich', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "one of the arguments --local --rollback --list --show --compile is required"),
        (("--compile", "kubeflow"), "--compile and --output FILE go together"),
        (("--local", "--output", "file"), "--compile and --output FILE go together"),
        (("--compile", "kubeflow", "--output", "file", "--until", "Trainer"), "go with --local"),
        (("--local", "--list"), "not allowed with argument"),
        (("--local", "--set", "trainer.epochs"), "expected KEY=VALUE"),
        (("--list", "--no-cache"), "go with --local"),
        (("--local", "--unknown"), "unrecognized arguments: --unknown"),
        (("--local", "--set", "trainer.epochz=3"), "trainer.epochz (from --set) is not a configuration key"),
        (("--local", "--config", "missing.yaml"), "missing.yaml cannot be read"),
        (("--local", "--until", "Transfrom"), "--until: found 'Transfrom'"),
        (("--local", "--set", "example_gen.dataset=no_such_corpus"), "'no_such_corpus'"),
        (("--local", "--set", "beam.args=[--runner=Nonsense]"), "beam.args (from --set): found ['--runner=Nonsense']"),
        (
            ("--local", "--set", "beam.args=[--runner=apache_beam.runners.dask.dask_runner.NoRunner]"),
            "beam.args (from --set)",
        ),
        (("--local", "--set", "beam.args=[--direct_num_workerz=2]"), "the nearest is --direct_num_workers"),
        (("--local", "--set", "beam.args=[--direct_num_workers=two]"), "invalid int value: 'two'"),
        (("--local", "--set", "evaluator.rules=[{metric: nonsense}]"), "evaluator.rules.0.metric (from --set)"),
    ],
)
def test_bad_usage_and_configuration_exit_with_2_and_one_message(tmp_path, arguments, expected):
    root = tmp_path / "output"
    completed = command(*arguments, "--set", f"pipeline.root={root}")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert expected in completed.stderr and "Traceback" not in completed.stderr
    assert not root.exists()


def test_a_run_ends_with_the_summary_as_its_last_line_and_nothing_else_on_standard_output(tmp_path):
    completed = fake(tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert len(completed.stdout.splitlines()) == 1  # what a library printed went to standard error
    assert "a library that prints" in completed.stderr
    result = summary(completed)
    assert result.keys() == SUMMARY_KEYS
    assert result["exit"] == 0 and result["blessed"] is True
    assert (result["valid_perplexity"], result["test_perplexity"], result["replicas"]) == (100.0, 90.0, None)
    assert result["pushed_model"] == str(tmp_path / "serving")
    assert list(result["components"]) == ["Source", "Shout", "Judge", "Ship"]
    assert all(step.keys() == {"status", "seconds"} for step in result["components"].values())
    folder = run_folder(tmp_path, result["run_id"])
    assert json.loads((folder / "summary.json").read_text()) == result
    report = json.loads((folder / "report.html").read_text())
    assert report["summary"] == result and report["configuration"].keys() == report["defaults"].keys()
    assert {path.name for path in folder.iterdir()} == {"summary.json", "report.html", "run.json", "log.jsonl"}


def test_a_second_run_is_all_cached(tmp_path):
    fake(tmp_path)
    result = summary(fake(tmp_path))
    assert {step["status"] for step in result["components"].values()} == {"cached"}
    assert result["valid_perplexity"] == 100.0 and result["pushed_model"] == str(tmp_path / "serving")


def test_until_reaches_no_verdict(tmp_path):
    result = summary(fake(tmp_path, "--local", "--until", "Shout"))
    assert (result["exit"], result["blessed"], result["pushed_model"]) == (0, None, None)


def test_a_refused_model_exits_with_3_and_the_reasons(tmp_path):
    completed = fake(tmp_path, blessed=False)
    result = summary(completed)
    assert (completed.returncode, result["exit"], result["blessed"], result["pushed_model"]) == (3, 3, False, None)
    assert "Judge refused the model" in completed.stderr and "too loud" in completed.stderr
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize("error", ["component", "unexpected"])
def test_a_failure_exits_with_1_and_shows_its_traceback_only_when_asked(tmp_path, error):
    completed = fake(tmp_path, error=error)
    result = summary(completed)
    assert (completed.returncode, result["exit"], result["components"]["Shout"]["status"]) == (1, 1, "failed")
    assert completed.stderr.count("Shout:") == 1 and "Traceback" not in completed.stderr
    assert "Traceback" in fake(tmp_path, "--local", "--verbose", error=error).stderr


def start_hanging(root: Path, error: str) -> tuple[subprocess.Popen, str]:
    """A run that has reached a component that hangs, and what that component wrote."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.runner.fake_run", "--local", "--set", f"pipeline.root={root}"],
        cwd=REPOSITORY,
        env=os.environ | {"FAKE_OPTIONS": json.dumps({"error": error})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in background jobs
    )
    deadline = time.monotonic() + 60
    while not (found := list(staging_folder(root).glob("*/.workspace/hanging"))):
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.2)
    return process, found[0].read_text()


@pytest.mark.parametrize(("signal_number", "exit_code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
def test_a_signal_ends_the_run_at_once_and_leaves_nothing_half_written(tmp_path, signal_number, exit_code):
    process, _ = start_hanging(tmp_path, "hang")
    busy = fake(tmp_path)
    assert busy.returncode == USAGE_ERROR and f"another run is using {tmp_path} (process {process.pid})" in busy.stderr
    process.send_signal(signal_number)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (exit_code, "")
    assert "nothing was left half written" in errors and "Traceback" not in errors
    assert "Run the same command again to resume" in errors
    assert not list(tmp_path.glob("Shout/*/*")) and not list(staging_folder(tmp_path).glob("*"))
    assert summary(fake(tmp_path))["components"]["Source"]["status"] == "cached"


@pytest.mark.parametrize("error", ["deaf", "replacing"])  # the interrupt is swallowed, or becomes another error
def test_a_signal_ends_a_run_whose_libraries_do_not_listen_and_their_workers(tmp_path, error):
    process, worker = start_hanging(tmp_path, error)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (143, "")
    assert "Terminated: nothing was left half written" in errors and "Traceback" not in errors
    stat = Path("/proc", worker, "stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"  # ended, if not reaped yet
    assert summary(fake(tmp_path))["exit"] == 0


@pytest.mark.parametrize("content", [b"junk", b"SQLite format 3\0" + b"x" * 5000])
def test_list_and_show_of_damaged_metadata_say_so_and_the_next_run_rebuilds_them(tmp_path, content):
    run_id = summary(fake(tmp_path))["run_id"]
    metadata_file(tmp_path).write_bytes(content)
    for arguments in (("--list",), ("--show", "latest")):
        completed = fake(tmp_path, *arguments)
        assert completed.returncode == USAGE_ERROR and "metadata.sqlite is damaged" in completed.stderr
        assert "Traceback" not in completed.stderr
    completed = fake(tmp_path)
    assert "metadata.sqlite was damaged" in completed.stderr and summary(completed)["exit"] == 0
    shown = fake(tmp_path, "--show", run_id).stdout
    assert "done." in shown and "Ship" in shown


def test_list_and_show_tell_of_earlier_runs(tmp_path):
    nothing = fake(tmp_path, "--list")
    assert nothing.returncode == 0 and "No run has been recorded" in nothing.stdout
    first, second = summary(fake(tmp_path)), summary(fake(tmp_path, text="other", blessed=False))
    listed = fake(tmp_path, "--list").stdout.splitlines()
    (first_line,) = [line for line in listed if first["run_id"] in line]
    (second_line,) = [line for line in listed if second["run_id"] in line]
    assert listed.index(second_line) < listed.index(first_line)
    assert "done" in first_line and "100.0" in first_line and "serving" in first_line
    assert "refused" in second_line
    shown = fake(tmp_path, "--show", first["run_id"])
    assert shown.returncode == 0
    for expected in ("Judge.blessing", "Judge/blessing/3", "Shout.shouted, Judge.blessing", "pipeline.root ="):
        assert expected in shown.stdout
    assert second["run_id"] in fake(tmp_path, "--show", "latest").stdout
    unknown = fake(tmp_path, "--show", "nonsense")
    assert unknown.returncode == USAGE_ERROR and "there is no such run" in unknown.stderr


def push_two_versions(root: Path) -> None:
    for content in ("first", "second"):
        model = root / content
        model.mkdir()
        (model / "saved_model.pb").write_text(content)
        versions.push(model, root / "serving", keep_versions=3)


def test_rolling_back_is_a_run_in_the_lineage(tmp_path):
    nothing = fake(tmp_path, "--rollback")
    assert nothing.returncode == USAGE_ERROR and "no version was pushed" in nothing.stderr
    push_two_versions(tmp_path)
    completed = fake(tmp_path, "--rollback")
    assert completed.returncode == 0, completed.stderr
    result = summary(completed)
    assert result.keys() == SUMMARY_KEYS and result["pushed_model"] == str(tmp_path / "serving" / "3")
    assert (tmp_path / "serving" / "3" / "saved_model.pb").read_text() == "first"
    assert "Rollback" in fake(tmp_path, "--show", "latest").stdout
    written = tmp_path / "runs" / result["run_id"]
    assert json.loads((written / "summary.json").read_text()) == result
    assert (written / "report.html").is_file()


def test_a_rollback_does_not_need_mlflow(tmp_path, monkeypatch):
    push_two_versions(tmp_path)
    missing = tmp_path / "missing" / "mlflow.py"
    missing.parent.mkdir()
    missing.write_text("raise ModuleNotFoundError(\"No module named 'mlflow'\", name='mlflow')")
    monkeypatch.setenv("PYTHONPATH", str(missing.parent))
    completed = fake(tmp_path, "--rollback", "--set", f"tracking.mlflow_uri={tmp_path / 'tracking'}")
    assert completed.returncode == 0 and summary(completed)["pushed_model"] == str(tmp_path / "serving" / "3")
    assert "does not have all of this run" in completed.stderr and "--publish" in completed.stderr


def test_no_run_is_named_by_an_empty_text(tmp_path, monkeypatch, capsys):
    completed = fake(tmp_path, "--show", "")
    assert completed.returncode == USAGE_ERROR and "there is no such run" in completed.stderr
    assert not (tmp_path / "serving").exists()
    assert fake(tmp_path, "--local").returncode == 0
    assert fake(tmp_path, "--show", "").returncode == USAGE_ERROR
    assert report.main(["--publish", "", "--root", str(tmp_path)]) == USAGE_ERROR


def test_quiet_shows_errors_and_the_summary_alone(tmp_path):
    well = fake(tmp_path, "--local", "--quiet")
    assert (well.returncode, well.stderr) == (0, "") and summary(well)["exit"] == 0
    assert "Ship executed" in next(tmp_path.glob("runs/*/log.jsonl")).read_text()  # the log has it all
    refused = fake(tmp_path, "--local", "--quiet", text="other", blessed=False)
    assert refused.stderr == "Judge refused the model; nothing was pushed. Its reasons:\ntoo loud\n"
    failed = fake(tmp_path, "--local", "--quiet", error="component")
    assert failed.stderr.splitlines() == ["Shout: loss.gamma: found -1, expected a positive number."]
    assert fake(tmp_path, "--local", "--quiet", "--verbose").returncode == USAGE_ERROR


@pytest.mark.parametrize(
    ("redirected", "exit_of_list", "words"),
    [
        (">&-", 0, ""),
        (">/dev/full", 1, "Standard output cannot be written: No space left on device."),
        ("| true", 0, ""),
    ],
)
def test_a_run_does_not_depend_on_standard_output(tmp_path, redirected, exit_of_list, words):
    words_of = [sys.executable, "-m", "tests.pipeline.runner.fake_run", "--set", f"pipeline.root={tmp_path / 'root'}"]
    for asked, exit_code in (("--local", 0), ("--list", exit_of_list)):
        line = f"set -o pipefail; {shlex.join([*words_of, asked])} {redirected}"
        completed = subprocess.run(
            ["bash", "-c", line],
            cwd=REPOSITORY,
            env=os.environ | {"FAKE_OPTIONS": "{}"},
            capture_output=True,
            text=True,
        )
        assert completed.returncode == exit_code and words in completed.stderr
        assert "Traceback" not in completed.stderr and "Error" not in completed.stderr


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_a_run_does_not_depend_on_standard_error(tmp_path, redirected):
    command = [sys.executable, "-m", "tests.pipeline.runner.fake_run", "--set", f"pipeline.root={tmp_path / 'root'}"]
    for options, exit_code in (({}, 0), ({"error": "component"}, FAILED), ({"error": "terminate"}, TERMINATED)):
        completed = subprocess.run(
            ["bash", "-c", f"{shlex.join([*command, '--local', '--no-cache'])} {redirected}"],
            cwd=REPOSITORY,
            env=buffered(os.environ | {"FAKE_OPTIONS": json.dumps(options)}),
            capture_output=True,
            text=True,
        )
        assert completed.returncode == exit_code
        if exit_code != TERMINATED:
            assert summary(completed)["exit"] == exit_code


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2> >(true)"])
@pytest.mark.parametrize(
    "module, arguments",
    [
        ("report", ["--all", "--root", "nowhere"]),
        ("export", ["--format", "hub", "--output", "out", "--model", "nowhere"]),
        ("score", ["nowhere.txt", "--output", "out"]),
        ("serve", ["--model", "nowhere"]),
        ("run", ["--local", "--set", "no.such=key"]),
    ],
)
def test_bad_usage_has_its_exit_code_and_prints_no_results_whatever_becomes_of_standard_error(
    tmp_path, module, arguments, redirected
):
    command = f"{shlex.join([sys.executable, '-m', f'pipeline.{module}', *arguments])} {redirected}"
    environment = buffered(os.environ | {"PYTHONPATH": str(REPOSITORY)})
    completed = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (completed.returncode, completed.stdout) == (USAGE_ERROR, "")


def buffered(environment: dict[str, str]) -> dict[str, str]:
    """The environment without the variable that makes Python write at once."""
    return {name: value for name, value in environment.items() if name != "PYTHONUNBUFFERED"}


def in_terminal(root: Path, columns: int, **environment: str) -> str:
    """What a terminal of that width is sent by a run."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "tests.pipeline.runner.fake_run", "--local", "--set", f"pipeline.root={root}"]
    options = {"FAKE_OPTIONS": "{}", "TERM": "xterm", **environment}
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=os.environ | options, stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    sent = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        sent += part
    os.close(leader)
    assert process.wait() == 0
    return sent.decode()


def test_a_terminal_of_80_columns_gets_lines_that_fit_and_no_colour_where_none_is_wanted(tmp_path):
    plain = in_terminal(tmp_path / ("a-root-with-a-long-name" * 3), 80, NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*3\d", plain)  # bold, dim and italics at most
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in plain.splitlines()]
    assert any("Judge" in line for line in lines)
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("Run ")) :]
    assert max(len(line.rstrip()) for line in table if "/" not in line) <= 80  # a path is left in one piece
    coloured = in_terminal(tmp_path / "coloured", 80)
    assert "\x1b[32m" in coloured


def test_a_log_has_no_carriage_returns_and_no_escapes(tmp_path):
    text = fake(tmp_path).stderr
    assert "\r" not in text and "\x1b" not in text
