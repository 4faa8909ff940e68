"""The page of all runs, written by the real command after runs with stand-ins for the components, and in a browser."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline import report
from pipeline.exit_codes import USAGE_ERROR
from tests.pipeline.browser import needs_browser, window

REPOSITORY = Path(__file__).parents[3]
NAUGHTY = "</script><b>x&"


def run(root, *assignments, **fake_options):
    settings = [argument for setting in assignments for argument in ("--set", setting)]
    command = [sys.executable, "-m", "tests.pipeline.runner.fake_run", "--local", "--set", f"pipeline.root={root}"]
    environment = os.environ | {"FAKE_OPTIONS": json.dumps(fake_options)}
    done = subprocess.run([*command, *settings], cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])["run_id"]


def test_a_folder_that_does_not_exist_is_not_made(tmp_path, capsys):
    assert report.main(["--all", "--root", str(tmp_path / "typo")]) == USAGE_ERROR
    assert "found no folder at" in capsys.readouterr().err and not (tmp_path / "typo").exists()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root of three runs: pushed, refused, and failed with a long name for its corpus's folder."""
    root = tmp_path_factory.mktemp("all") / "root"
    run(root, "trainer.epochs=3")
    run(root, "model.units=300", text="other", blessed=False)
    texts = root.parent / "a_very_long_name_of_a_folder" / NAUGHTY / "with-many-parts"
    texts.mkdir(parents=True)
    (texts / "one.txt").write_text("a b c")
    run(root, "example_gen.dataset=text_files", f"example_gen.data_dir={texts}", error="component")
    return root


@pytest.fixture(scope="module")
def written(root):
    assert report.main(["--all", "--root", str(root)]) == 0
    return root / "runs" / "index.html"


def cells(driver, column):
    return [cell.text for cell in driver.find_elements(By.CSS_SELECTOR, f"tbody td:nth-child({column})")]


def test_each_run_has_its_settings_figures_verdict_and_report(written):
    text = written.read_text("utf-8")
    newest_first = [text.index(word) for word in ("Failed", "Refused", "Done as far as Ship")]
    assert newest_first == sorted(newest_first)
    assert "trainer.epochs = 3" in text and "model.units = 300" in text and "pipeline.root =" not in text
    assert NAUGHTY not in text and "&lt;/script&gt;" in text
    for run_id in (path.name for path in (written.parent).iterdir() if path.is_dir()):
        assert f'href="{run_id}/report.html"' in text


def test_links_lead_to_the_reports_from_wherever_the_page_is(root, tmp_path, capsys):
    assert report.main(["--all", "--root", str(root), "--output", str(tmp_path / "pages" / "all.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "pages" / "all.html")
    text = (tmp_path / "pages" / "all.html").read_text("utf-8")
    links = [part.partition('"')[0] for part in text.split('href="')[1:] if not part.startswith("data:")]
    assert len(links) == 3 and all((tmp_path / "pages" / link).is_file() for link in links)


def test_names_that_are_not_utf8_are_shown_with_escapes(tmp_path):
    texts = tmp_path / os.fsdecode(b"caf\xe9")
    texts.mkdir()
    (texts / "one.txt").write_text("a b c")
    root = texts / "output"
    run(root, "example_gen.dataset=text_files", f"example_gen.data_dir={texts}")
    assert report.main(["--all", "--root", str(root)]) == 0
    assert "caf\\udce9" in (root / "runs/index.html").read_text("utf-8")
    assert report.main(["--all", "--root", str(root), "--output", str(tmp_path / "index.html")]) == 0
    assert 'href="caf%E9/output/runs/' in (tmp_path / "index.html").read_text("utf-8")


def test_a_root_without_runs_says_so(tmp_path):
    assert report.main(["--all", "--root", str(tmp_path)]) == 0
    assert "No run has been recorded" in (tmp_path / "runs" / "index.html").read_text("utf-8")


def test_a_page_that_cannot_be_written_is_a_usage_error(root, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert report.main(["--all", "--root", str(root), "--output", str(tmp_path / "file" / "x.html")]) == USAGE_ERROR
    assert "file" in capsys.readouterr().err


@needs_browser
@pytest.mark.parametrize("width", [390, 1440])
def test_in_a_browser_the_table_sorts_by_mouse_and_keyboard_and_fits(written, tmp_path, width):
    with window(tmp_path, width) as driver:
        driver.get(written.as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        section = driver.find_element(By.TAG_NAME, "section")
        assert section.find_element(By.TAG_NAME, "table").size["width"] < section.size["width"]
        perplexity, seconds = (driver.find_element(By.CSS_SELECTOR, f"th:nth-child({n}) button") for n in (5, 7))
        for _ in range(2):
            perplexity.click()
            assert cells(driver, 5) == ["100.00", "100.00", "–"]  # the failed run has none, and stays last
        seconds.click()
        upwards = cells(driver, 7)
        seconds.send_keys(Keys.ENTER)
        assert cells(driver, 7) == upwards[::-1]
        assert seconds.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        )
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 27)"
        assert driver.get_log("browser") == []
