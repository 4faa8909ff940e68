"""The distributions: their files, and `tied-lm` with only the wheel installed, in an empty folder."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.package
TEXT = [f"the {color} {animal} sees {count} {things} here" for color in ("red", "blue", "green")
        for animal in ("cat", "dog", "bird", "fish") for count in ("two", "three", "four")
        for things in ("trees", "stones", "houses", "clouds")]  # fmt: skip
SETTINGS = {
    "example_gen.dataset": "text_files",
    "example_gen.data_dir": "texts",
    "model.units": 8,
    "trainer.epochs": 3,
    "trainer.batch_size": 4,
    "infra_validator.max_latency_ms": 0,
}


def run(*command, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["PIP_CONSTRAINT"] = str(REPOSITORY / "constraints.txt")
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the sdist, by suffix, the wheel made from the sdist."""
    for module in ("build", "twine"):
        pytest.importorskip(module, reason=f"{module} is not installed (extra package)")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, REPOSITORY, cwd=folder)
    return {path.suffix: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tied_lm(distributions, tmp_path_factory) -> Path:
    """The command in an environment that has only the wheel and its requirements."""
    environment = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", environment, cwd=environment)
    pip = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile"]
    run(*pip, "-c", REPOSITORY / "constraints.txt", distributions[".whl"], cwd=environment)
    return environment / "bin" / "tied-lm"


def test_the_distributions_are_accepted_by_an_index(distributions):
    checked = run(sys.executable, "-m", "twine", "check", "--strict", *distributions.values(), cwd=REPOSITORY)
    assert checked.stdout.count("PASSED") == 2, checked.stdout


def test_the_wheel_has_every_file_that_the_packages_have(distributions):
    tracked = run("git", "ls-files", "pipeline", "components", "models", cwd=REPOSITORY).stdout.split()
    with zipfile.ZipFile(distributions[".whl"]) as wheel:
        names = set(wheel.namelist())
        shipped = wheel.read("pipeline/pipeline_config.yaml")
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode()
    assert set(tracked) <= names
    assert shipped == (REPOSITORY / "pipeline_config.yaml").read_bytes()
    packages = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert packages == {"pipeline", "components", "models"}
    with tarfile.open(distributions[".gz"]) as sdist:
        contents = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "constraints.txt", *tracked} <= contents


def test_the_command_shows_its_version_and_its_subcommands(tied_lm, tmp_path):
    assert run(tied_lm, "--version", cwd=tmp_path).stdout == "tied-lm 0.1.0\n"
    text = run(tied_lm, "--help", cwd=tmp_path).stdout
    assert all(name in text for name in ("run", "serve", "score", "report", "init"))
    assert "invalid choice" in run(tied_lm, "train", cwd=tmp_path, code=2).stderr
    for name in ("run", "serve", "score", "report"):
        assert run(tied_lm, name, "--help", cwd=tmp_path).stdout.startswith(f"usage: tied-lm {name} ")


def test_init_writes_the_shipped_configuration_once(tied_lm, tmp_path):
    written = tmp_path / "pipeline_config.yaml"
    run(tied_lm, "init", cwd=tmp_path)
    assert written.read_bytes() == (REPOSITORY / "pipeline_config.yaml").read_bytes()
    written.write_text("mine\n")
    assert "was not changed" in run(tied_lm, "init", cwd=tmp_path, code=2).stderr
    assert written.read_text() == "mine\n"


def test_a_run_from_an_empty_folder_pushes_a_model_that_scores(tied_lm, tmp_path):
    for split, lines in (("train", TEXT * 3), ("valid", TEXT[::7]), ("test", TEXT[::5])):
        path = tmp_path / "texts" / f"{split}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    run(tied_lm, "init", cwd=tmp_path)
    settings = [x for key, value in SETTINGS.items() for x in ("--set", f"{key}={value}")]
    done = run(tied_lm, "run", "--local", *settings, cwd=tmp_path)
    summary = json.loads(done.stdout.splitlines()[-1])
    assert Path(summary["pushed_model"]) == tmp_path / "output" / "serving" / "1"
    assert (tmp_path / "output" / "runs" / summary["run_id"] / "report.html").is_file(), done.stderr
    again = json.loads(run(tied_lm, "run", "--local", *settings, cwd=tmp_path).stdout.splitlines()[-1])
    assert {component["status"] for component in again["components"].values()} == {"cached"}
    run(tied_lm, "report", "--compare", summary["run_id"], again["run_id"], cwd=tmp_path)
    run(tied_lm, "score", "texts/test.txt", "--output", "scores.jsonl", cwd=tmp_path)
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == len(TEXT[::5])


def test_a_subcommand_whose_extra_is_missing_names_it(tied_lm, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    refused = run(tied_lm, "serve", "--model", tmp_path, cwd=tmp_path, code=2)
    assert "tied-language-model[serve]" in refused.stderr
