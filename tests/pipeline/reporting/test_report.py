"""The report of runs that went well, were refused, failed early, or hold what a page must not trust."""

import base64
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from components.artifacts.evaluation import EVALUATION
from components.artifacts.model_run import HISTORY
from pipeline.reporting import charts, lineage_drawing, sections
from pipeline.reporting.page import TEMPLATES, write_report
from tests.pipeline.browser import needs_browser, window
from tests.pipeline.reporting.run_pages import NAUGHTY, Page, make_run

CHARTS = (  # what each chart is called for people who cannot see it
    "Perplexity by epoch",
    "Loss, nats a token by epoch",
    "Learning rate by epoch",
    "Norm of the gradient, before clipping by epoch",
    "Training tokens per second by epoch",
    "Share right by the probability of the first choice",
    "Frequent words in the two main directions of the embedding",
    "Share of the lines by number of words",
    "Share of the training tokens that the most frequent words make up",
    "Lineage: each component, what it read and what it wrote",
)


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
    assert sorted(page.charts) == sorted(CHARTS)
    assert "Pushed version 4" in page.text and "undecided" in page.text


def test_ids_are_unique_and_links_stay_on_the_page(page):
    ids = set(page.ids)
    assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= ids
    assert len(page.ids) == len(ids)


def test_text_from_the_data_is_never_markup(page):
    assert page.tags.count("script") == 1
    assert page.text.count("<script>") >= 8  # shown as text
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
    assert "CONSOLE" not in found.stderr  # errors and refused requests would be reported there
    assert found.stdout.count("<svg") == len(CHARTS) and "Pushed version 4" in found.stdout


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


def test_a_rollback_has_a_report(tmp_path):
    run = make_run(tmp_path)
    [pusher] = (step for step in run["components"] if step["name"] == "Pusher")
    figures = {"pushed_model": "/x/7", "version": 7, "rollback_of": 5}
    run["components"] = [pusher | {"name": "Rollback", "figures": figures}]
    write_report(run, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "Pushed version 7" in text and "version 5" not in text


def test_a_refused_run_says_so(tmp_path):
    page = _page(tmp_path, last="Evaluator", exit_code=3)
    assert "Refused: nothing pushed" in page.text and "nothing pushed" in page.text


def test_a_model_that_was_not_pushed_again_is_explained_at_the_top(tmp_path):
    run, path = make_run(tmp_path), tmp_path / "runs" / "report.html"
    reason = "The model is version 2 of serving, which was rolled back, so it was not pushed again."
    run["components"][-1]["figures"] = {"pushed_model": None, "version": None, "warning": reason}
    write_report(run, path)
    page = Page(path.read_text(encoding="utf-8"))
    assert "Done, nothing pushed: the model was rolled back before" in page.text
    assert page.text.index(reason) < page.text.index("validation perplexity")


def test_a_damaged_artifact_costs_its_section_only(tmp_path):
    run = make_run(tmp_path)
    (tmp_path / "Trainer" / "model_run" / "1" / "history.json").write_text('{"epochs": [')
    write_report(run, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert "training" not in page.ids and "evaluation" in page.ids
    assert "could not be read and is left out: training" in page.text


def test_artifacts_with_contradicting_contents_lose_only_their_sections(tmp_path):
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
    lanes = list(lineage_drawing.assign_lanes(make_run(tmp_path)["components"]).values())
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
    found = sections.data(sections.RunArtifacts(make_run(tmp_path)))
    assert found["vocabulary"]["size"] == 4 and found["vocabulary"]["rare"] == 1
    assert np.isclose(found["vocabulary"]["coverage"], 0.95)


def test_a_report_needs_no_tensorflow():
    code = "import sys, pipeline.report; sys.exit('tensorflow' in sys.modules or 'apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
