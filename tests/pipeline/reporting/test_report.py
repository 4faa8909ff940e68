"""The report of runs that went well, were refused, failed early, or hold what a page must not trust."""

import base64
import hashlib
import html.parser
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from components.artifacts import vocabulary
from components.artifacts.evaluation import EMBEDDING, EVALUATION, PREDICTIONS
from components.artifacts.model_run import HISTORY
from components.artifacts.splits import split_dir
from components.artifacts.statistics import ANOMALIES, SOURCES, STATISTICS
from pipeline import report
from pipeline.reporting import charts, lineage_drawing, sections
from pipeline.reporting.page import TEMPLATES, write_comparison, write_report
from tests.components.artifacts import samples
from tests.pipeline.browser import needs_browser, window

NAUGHTY = "<script>alert('$x^$')</script>&\"'"
WIRING = {  # component -> (inputs as component.output, outputs)
    "ExampleGen": ([], ["examples"]),
    "StatisticsGen": (["ExampleGen.examples"], ["statistics"]),
    "ExampleValidator": (["StatisticsGen.statistics"], ["anomalies"]),
    "VocabularyGen": (["ExampleGen.examples"], ["vocabulary"]),
    "Transform": (["ExampleGen.examples", "VocabularyGen.vocabulary"], ["transformed_examples"]),
    "Trainer": (["Transform.transformed_examples", "VocabularyGen.vocabulary"], ["model", "model_run"]),
    "Evaluator": (["Trainer.model", "Transform.transformed_examples", "ExampleGen.examples"], ["evaluation"]),
    "Pusher": (["Trainer.model"], ["pushed_model"]),
}


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: ids, addresses it would load or link, tags, visible text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.tags, self.text, self._open = [], [], [], "", []
        self.policies = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._open.append(tag)
        if ("http-equiv", "Content-Security-Policy") in attributes:
            self.policies.append(dict(attributes)["content"])
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "action", "poster", "data"):
                self.addresses.append(value)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data + " "


def _write_artifacts(folders):
    for split in ("train", "eval", "test"):
        overlap = {} if split == "train" else {"overlap_with_train": {"lines": 1, "share": 0.04}}
        split_dir(folders["statistics"], split).mkdir(parents=True)
        STATISTICS.write(split_dir(folders["statistics"], split), samples.split_statistics(split, **overlap))
    for name in ("anomalies", "vocabulary", "model_run", "evaluation"):
        folders[name].mkdir(parents=True, exist_ok=True)
    suspect = {NAUGHTY: {"bytes": 1234, "invalid_bytes": 56, "nul_bytes": 7}}
    SOURCES.write(
        folders["statistics"], {"skipped": {f"{NAUGHTY}/pipe": "a named pipe"}, "outside": 3, "files": suspect}
    )
    ANOMALIES.write(folders["anomalies"], {"errors": [], "warnings": [f"Overlap of {NAUGHTY}"]})
    counts = {b"<unk>": 5, b"<eos>": 9, NAUGHTY.encode(): 7, b"word": 1}
    vocabulary.write_words(folders["vocabulary"], counts)
    vocabulary.FIGURES.write(folders["vocabulary"], {"size": 4, "tokens": 23, "coverage": 0.95})
    epochs = [samples.epoch(number) for number in (1, 2, 3)]
    HISTORY.write(folders["model_run"], {"steps_per_epoch": 10, "best_epoch": 3, "epochs": epochs})
    found = samples.evaluation(reason=f"Because of {NAUGHTY}.", document=NAUGHTY)
    EVALUATION.write(folders["evaluation"], found)
    guesses = [{"word": NAUGHTY, "probability": 0.25}, {"word": "", "probability": 0.0}]
    PREDICTIONS.write(
        folders["evaluation"], {"phrases": [{"text": NAUGHTY, "candidate": guesses, "baseline": guesses}]}
    )
    places = [{"word": NAUGHTY, "x": 0.0, "y": 0.5}, {"word": "$a_1$ 語", "x": 1.0, "y": 0.0}]
    neighbours = [{"word": NAUGHTY, "neighbours": [{"word": "near", "cosine": 0.75}]}]
    EMBEDDING.write(
        folders["evaluation"], {"neighbours": neighbours, "map": [*places, {"word": "b", "x": 0.2, "y": 0}]}
    )


def make_run(root: Path, last: str = "Pusher", exit_code: int = 0, run_id: str = "run-1") -> dict:
    """A run's record whose components up to `last` have run; a failure is the last one's."""
    names = list(WIRING)
    artifacts, components = {}, []
    for number, name in enumerate(names):
        inputs, keys = WIRING[name]
        reached = number <= names.index(last)
        failed = name == last and exit_code == 1
        outputs = {}
        for key in keys if reached and not failed else []:
            outputs[key] = {"uri": f"{name}/{key}/1", "type": key, "artifact_id": 10 + len(artifacts)}
            artifacts[f"{name}.{key}"] = outputs[key] | {"producer": name}
        components.append(
            {
                "name": name,
                "status": "failed" if failed else "executed" if reached else "skipped",
                "seconds": 1.5,
                "execution_id": number if reached else None,
                "figures": {"version": 4, "pushed_model": "/x/4"} if name == "Pusher" and reached else {},
                "parameters": {},
                "inputs": {i.partition(".")[2]: artifacts[i] for i in inputs if reached and i in artifacts},
                "outputs": outputs,
            }
        )
    folders = {key: root / name / key / "1" for name, (_, keys) in WIRING.items() for key in keys}
    _write_artifacts(folders)
    return {
        "run_id": run_id,
        "root": str(root),
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 12.0,
        "exit": exit_code,
        "error": f"{last}: the file {NAUGHTY} is missing" if exit_code == 1 else None,
        "configuration": {"trainer.epochs": 3, "example_gen.dataset": NAUGHTY, "model.units": 200},
        "defaults": {"trainer.epochs": 40, "example_gen.dataset": "python_docs", "model.units": 200},
        "summary": {"valid_perplexity": 101.0 if exit_code != 1 else None, "test_perplexity": None},
        "components": components,
    }


def _page(root, **changes):
    path = root / "runs" / "report.html"
    write_report(make_run(root, **changes), path)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a run that pushed a model."""
    return _page(tmp_path_factory.mktemp("run"))


def test_a_whole_run_shows_every_section_and_every_chart(page):
    sections = {"gate", "training", "evaluation", "predictions", "embedding", "data", "lineage", "components"}
    assert sections | {"configuration", "map"} <= set(page.ids)
    # Five learning curves, calibration, map, lengths, coverage, and the lineage.
    assert page.tags.count("svg") == 10
    assert "Pushed version 4" in page.text and "undecided" in page.text


def test_ids_are_unique_and_links_stay_on_the_page(page):
    ids = set(page.ids)
    assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= ids
    assert len(page.ids) == len(ids)


def test_text_from_the_data_is_never_markup(page):
    assert page.tags.count("script") == 1
    assert page.text.count("<script>") >= 8  # shown as what it is
    (policy,) = page.policies
    digest = base64.b64encode(hashlib.sha256((TEMPLATES / "sort.js").read_bytes()).digest()).decode()
    # The script that sorts tables runs, and nothing else; nothing is loaded.
    assert policy.startswith("default-src 'none'; ") and f"script-src 'sha256-{digest}'; " in policy
    assert "base-uri 'none'; form-action 'none'" in policy


@pytest.mark.skipif(shutil.which("chromium") is None, reason="There is no chromium here to open the page.")
def test_a_browser_opens_the_page_without_complaint(tmp_path):
    write_report(make_run(tmp_path), tmp_path / "report.html")
    quiet = "--disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-sync", *quiet.split()]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    address = (tmp_path / "report.html").as_uri()
    found = subprocess.run([*command, address], capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in found.stderr  # errors and refused requests are told there
    assert found.stdout.count("<svg") == 10 and "Pushed version 4" in found.stdout


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_in_a_browser_tables_sort_by_mouse_and_keyboard_and_fit(tmp_path, width):
    run = make_run(tmp_path)
    for component, seconds in zip(run["components"], (1234, 2, 30.25, 0.5), strict=False):
        component["seconds"] = seconds
    run["components"][4]["status"] = "skipped"  # has no seconds
    write_report(run, tmp_path / "report.html")
    expected = sorted(c["seconds"] for c in run["components"] if c["status"] != "skipped")
    with window(tmp_path, width) as driver:
        driver.get((tmp_path / "report.html").as_uri())

        def seconds():
            cells = driver.find_elements(By.CSS_SELECTOR, "#components tbody td:nth-child(3)")
            return [float(cell.text.replace(",", "")) if cell.text else None for cell in cells]

        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        button = driver.find_element(By.CSS_SELECTOR, "#components th:nth-child(3) button")
        driver.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", button)
        button.click()
        assert seconds() == [*expected, None]
        button.send_keys(Keys.ENTER)
        assert seconds() == [*expected[::-1], None]
        assert driver.get_log("browser") == []


@pytest.mark.parametrize(
    ("last", "present", "absent"),
    [("ExampleGen", set(), {"data", "training", "gate"}), ("Trainer", {"data"}, {"training", "gate"})],
)
def test_a_run_that_failed_says_why_and_leaves_out_what_is_missing(tmp_path, last, present, absent):
    page = _page(tmp_path, last=last, exit_code=1)
    assert {"error", "lineage", "configuration"} | present <= set(page.ids)
    assert not absent & set(page.ids)
    assert f"{last}: the file {NAUGHTY} is missing" in page.text
    assert "No learning curves: this run has no output of the Trainer." in page.text


def test_the_distance_of_an_untied_models_subspaces_is_shown(page, tmp_path):
    run = make_run(tmp_path)
    folder = tmp_path / "Evaluator" / "evaluation" / "1"
    EVALUATION.write(folder, EVALUATION.read(folder) | {"subspace_distance": 0.4321})
    write_report(run, tmp_path / "report.html")
    untied = Page((tmp_path / "report.html").read_text())
    assert "embedding’s column space: 0.4321" in untied.text and "column space" not in page.text


def test_a_refused_run_says_so(tmp_path):
    page = _page(tmp_path, last="Evaluator", exit_code=3)
    assert "Refused: nothing pushed" in page.text and "nothing pushed" in page.text


def test_a_damaged_artifact_costs_its_section_only(tmp_path):
    run = make_run(tmp_path)
    (tmp_path / "Trainer" / "model_run" / "1" / "history.json").write_text('{"epochs": [')
    write_report(run, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert "training" not in page.ids and "evaluation" in page.ids
    assert "could not be read and is left out: training" in page.text


def test_artifacts_that_are_whole_but_make_no_sense_cost_their_sections_only(tmp_path):
    run = make_run(tmp_path)
    (tmp_path / "VocabularyGen" / "vocabulary" / "1" / "counts.tsv").write_text("")
    folder = tmp_path / "Trainer" / "model_run" / "1"
    HISTORY.write(folder, HISTORY.read(folder) | {"best_epoch": 99})
    write_report(run, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert not {"training", "data"} & set(page.ids) and "evaluation" in page.ids


def test_changed_configuration_is_marked(page):
    text = " ".join(page.text.split())
    assert "trainer.epochs 3 40" in text and "3 ← changed" in text
    assert "200 ← changed" not in text


def test_an_epoch_alone_and_figures_that_are_no_numbers_can_be_drawn():
    for values in ([3.0], [None, 2.0], [None, None]):
        drawn = charts.lines({"a": values}, "title", log=True)
        assert drawn.startswith("<svg") and "var(--" in drawn


def test_two_epochs_are_dots_and_no_trend():
    line = "fill: none; stroke: var(--series-1)"
    assert line not in charts.lines({"perplexity": [9.0, 5.0]}, "two")
    assert line in charts.lines({"perplexity": [9.0, 5.0, 4.0]}, "three")


def test_lineage_draws_a_lane_for_each_artifact_that_is_read(tmp_path):
    run = make_run(tmp_path)
    drawing = lineage_drawing.draw(run["components"], "source", "version 4")
    read = {a["artifact_id"] for component in run["components"] for a in component["inputs"].values()}
    assert drawing.count('<g class="lane ') == len(read) == 5
    assert drawing.count('class="arrow"') == sum(len(component["inputs"]) for component in run["components"])


def test_lanes_of_artifacts_that_live_at_the_same_time_are_apart(tmp_path):
    lanes = list(lineage_drawing._lanes(make_run(tmp_path)["components"]).values())
    for number, (lane, first, last, _) in enumerate(lanes):
        for other, other_first, other_last, _ in lanes[number + 1 :]:
            if lane == other:
                assert last <= other_first or other_last <= first


def test_files_that_were_skipped_or_hold_bytes_that_are_not_text_are_shown(tmp_path):
    path = tmp_path / "report.html"
    write_report(make_run(tmp_path), path)
    text = " ".join(Page(path.read_text(encoding="utf-8")).text.split())
    assert "1 skipped, 3 outside the folder, 1 with bytes that are not text" in text
    assert "skipped: a named pipe" in text and "56 invalid and 7 NUL bytes of 1,234" in text


def test_coverage_curve_ends_at_the_vocabularys_share(tmp_path):
    found = sections.data(sections.Artifacts(make_run(tmp_path)))
    assert found["vocabulary"]["size"] == 4 and found["vocabulary"]["rare"] == 1
    assert np.isclose(found["vocabulary"]["coverage"], 0.95)


def _compared(tmp_path, changes):
    runs = [make_run(tmp_path / name, run_id=f"run-{name}") for name in "ab"]
    runs[1]["configuration"] |= changes
    path = tmp_path / "compared.html"
    write_comparison(*runs, path)
    return Page(path.read_text(encoding="utf-8"))


def test_two_runs_side_by_side_show_what_differs(tmp_path):
    page = _compared(tmp_path, {"trainer.epochs": 7})
    text = " ".join(page.text.split())
    assert {"figures", "training", "configuration", "slices", "predictions", "components"} <= set(page.ids)
    assert "run-a" in text and "run-b" in text
    assert "trainer.epochs 3 7" in text and "+0.00%" in text
    assert "script" not in page.tags and page.tags.count("svg") == 4


def test_perplexities_of_different_text_are_not_compared(tmp_path):
    text = _compared(tmp_path, {"vocabulary.max_size": 5}).text
    assert "perplexities are of different things" in text
    assert text.count("%+") + text.count("+0.00%") == 1  # bits per character alone


def test_runs_that_failed_can_be_compared(tmp_path):
    runs = [make_run(tmp_path / name, last="Trainer", exit_code=1) for name in "ab"]
    write_comparison(*runs, tmp_path / "compared.html")
    assert "Neither run was evaluated." in (tmp_path / "compared.html").read_text()


def test_comparing_a_run_with_a_damaged_artifact_names_the_file(tmp_path, capsys, monkeypatch):
    runs = {name: make_run(tmp_path / name, run_id=f"run-{name}") for name in "ab"}
    file = tmp_path / "b" / "Evaluator" / "evaluation" / "1" / EVALUATION.file
    file.write_text(file.read_text().replace('"format": 1', '"format": 99'))
    monkeypatch.setattr(report.history, "load_run", lambda root, run_id: runs[run_id])
    assert report.main(["--compare", "a", "b", "--root", str(tmp_path)]) == 2
    assert f"{file} has format 99" in capsys.readouterr().err


def test_comparing_a_run_that_does_not_exist_is_a_usage_error(tmp_path, capsys):
    assert report.main(["--compare", "x", "y", "--root", str(tmp_path)]) == 2
    assert "there is no such run" in capsys.readouterr().err


def test_a_report_needs_no_tensorflow():
    code = "import sys, pipeline.report; sys.exit('tensorflow' in sys.modules or 'apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
