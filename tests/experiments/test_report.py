"""What `make results` writes: every figure from the results file, the next words from the models."""

import json
import shutil
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from experiments import next_words, published, report
from experiments.records import Records
from pipeline.exit_codes import USAGE_ERROR
from tests.components.evaluator.world import World
from tests.experiments.test_records import run

REPOSITORY = Path(__file__).parents[2]


def epochs(*valid):
    return [{"epoch": i, "train_perplexity": v * 1.1, "valid_perplexity": v} for i, v in enumerate(valid, 1)]


RUNS = [
    run("kneser_ney_5", 0, epochs=[], valid_perplexity=148.0, test_perplexity=141.2, status="finished"),
    run("small_vd", epochs=epochs(200.0, 94.0), valid_perplexity=94.0, test_perplexity=90.0, status="finished"),
    run("small_real", epochs=epochs(210.0, 92.0), valid_perplexity=92.0, test_perplexity=82.7, status="finished",
        adaptive={"cache": {"valid": 90.5, "test": 80.25}}),
    run("small_real", 2, epochs=epochs(210.0, 93.0), valid_perplexity=93.0, test_perplexity=84.7, status="finished"),
    run("medium_real", epochs=epochs(180.0), valid_perplexity=180.0),
]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "ptb"
    folder.mkdir()
    for recorded in RUNS:
        Records(folder).save(recorded)
    (tmp_path / "README.md").write_text(f"Before.\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter.\n")
    return folder


def write(table, *more):
    return report.main(["--table", str(table), "--readme", str(table.parent / "README.md"), *map(str, more)])


def rows_of(text):
    return {tuple(line.split(" | ")[:2]): line for line in text.splitlines() if line.startswith("| `")}


def test_measured_figures_are_beside_published_ones(table):
    assert write(table) == 0
    text = (table.parent / "README.md").read_text()
    assert text.startswith("Before.") and text.endswith("After.\n") and "old" not in text
    rows = rows_of(text)
    real = rows["| `small_real`", "1"]
    assert "86.30 / 82.70 | 92.00 | 82.70 | +0.0% | 41.4% | 90.50 / 80.25" in real
    assert "86.30 / 82.70 | 92.50 ± 0.71 | 83.70 ± 1.41 | +1.2%" in rows["| `small_real`", "mean of 2"]
    assert "92.60 / 87.30 | 94.00 | 90.00 | +3.1%" in rows["| `small_vd`", "1"]
    running = rows["| `medium_real`", "1"]
    assert "75.70 / 73.20 | 180.00 | - |" in running and "running" in running
    order = [key[0] for key in rows]
    assert order.index("| `small_vd`") < order.index("| `small_real`") < order.index("| `medium_real`")
    assert "| `small_real`, seed 2 | 231.0 / 210.00 | 102.3 / 93.00 | 93.00 (2) |" in text


def test_the_curves_are_complete_pictures_and_the_page_loads_nothing(table):
    assert write(table) == 0
    assert sorted(path.name for path in table.glob("*.svg")) == ["curves_medium.svg", "curves_small.svg"]
    for path in table.glob("*.svg"):
        xml.etree.ElementTree.parse(path)
    page = (table / "results.html").read_text()
    assert page.count("<svg") == 2 and "small_real" in page
    assert not any(word in page for word in ("<script", "src=", "<link", "@import"))
    before = {path.name: path.read_bytes() for path in table.iterdir()}
    assert write(table) == 0
    assert {path.name: path.read_bytes() for path in table.iterdir()} == before, "same figures, same files"


def test_variants_are_measured_against_their_row():
    assert published.perplexities(run("small_real_15_held_target")) == published.perplexities(run("small_real"))
    assert published.perplexities(run("small_real")) == (86.3, 82.7)
    assert published.perplexities(run("small_re_recipe")) == (89.9, 85.1)
    assert published.perplexities(run("small_rex")) == (None, None)


def test_another_corpus_has_its_own_page_and_published_figures(tmp_path, monkeypatch):
    table = tmp_path / "wikitext2"
    table.mkdir()
    (table / "README.md").write_text(f"# WikiText-2\n\n{report.BEGIN}\n{report.END}\n")
    figures = {"corpus": {"dataset": "wikitext2"}, "valid_perplexity": 106.1, "test_perplexity": 102.51}
    Records(table).save(run("small_re", status="finished", epochs=epochs(106.1), **figures))
    ptb_page = (REPOSITORY / "experiments" / "README.md").read_bytes()
    assert report.main(["--table", str(table)]) == 0
    text = (table / "README.md").read_text()
    assert "| `small_re` | 1 | 106.10 / 100.50 | 106.10 | 102.51 | +2.0% |" in text
    assert "(curves_small.svg)" in text and "kneser" not in text
    assert "WikiText-2, small" in (table / "curves_small.svg").read_text()
    assert (REPOSITORY / "experiments" / "README.md").read_bytes() == ptb_page
    (table / "README.md").unlink()
    assert report.main(["--table", str(table)]) == USAGE_ERROR and not (table / "README.md").exists()


def test_a_damaged_comparison_is_refused_by_name_and_kept(table, capsys):
    (table / next_words.FILE).write_text("{")
    assert write(table) == USAGE_ERROR
    assert f"{table / next_words.FILE} is damaged" in capsys.readouterr().err
    assert (table / next_words.FILE).read_text() == "{" and "old" in (table.parent / "README.md").read_text()


def test_next_words_and_mean_probabilities_are_the_models_own(table, tmp_path):
    world = World(tmp_path / "world")
    for name, model in (("small_vd", "weak"), ("small_real", "good")):
        root = tmp_path / "roots" / f"{name}-seed1"
        shutil.copytree(world.root / model, root / "Trainer" / "model" / "7")
        shutil.copytree(world.root / "tokens", root / "Transform" / "transformed_examples" / "5")
    assert write(table, "--roots", tmp_path / "roots") == 0
    found = json.loads((table / next_words.FILE).read_text())
    assert [model["name"] for model in found["models"]] == ["small_vd", "small_real"]
    targets = world.targets("eval")
    unknown = found["mean_probability"]["<unk>"]
    assert unknown["in_text"] == pytest.approx(np.mean(targets == 0), abs=1e-6)
    for place, model in enumerate(("weak", "good")):
        mean = np.exp(world.log_probabilities[model]["eval"][:, 0]).mean()
        assert unknown["models"][place] == pytest.approx(mean, rel=1e-4)
        step = tf.saved_model.load(str(world.root / model / "Format-Serving")).signatures["step"]
        state = tf.zeros([1, 2, 2, 16])
        for word in [1] + [0] * len(next_words.PHRASES[0].split()):  # no word of the phrase is in this vocabulary
            answer = step(token_ids=tf.constant([word], tf.int64), state=state)
            state = answer["state"]
        probabilities = np.exp(answer["log_probabilities"].numpy()[0])
        words = found["phrases"][0]["words"][place]
        assert len(words) == 10
        assert [p for _, p in words] == pytest.approx(np.sort(probabilities)[::-1][:10], abs=1e-4)
    text = (table.parent / "README.md").read_text()
    assert "Table 3" in text and next_words.PHRASES[0] in text
    assert "&lt;unk> 0." in text and "| `<unk>` |" in text  # Markdown would read a bare <unk> as a tag
    assert write(table, "--roots", tmp_path / "nowhere") == 0  # what was measured is kept
    assert (table.parent / "README.md").read_text() == text


def test_without_a_run_or_marks_in_the_readme_nothing_is_written(table, capsys):
    readme = table.parent / "README.md"
    readme.write_text("No marks.\n")
    assert write(table) == USAGE_ERROR and "lacks the lines" in capsys.readouterr().err
    (table / "results.json").write_text("{")
    assert write(table) == USAGE_ERROR and "is damaged" in capsys.readouterr().err
    (table / "results.json").unlink()
    command = f"make experiment NAME=NAME SEED=<seed> DATA_DIR=FOLDER TABLE={table}."
    assert write(table) == USAGE_ERROR and f"has no run yet. Start one: {command}" in capsys.readouterr().err
    assert readme.read_text() == "No marks.\n" and sorted(path.name for path in table.iterdir()) == []


def test_the_shipped_tables_are_those_of_the_shipped_results():
    comparison = json.loads(path.read_text()) if (path := rows_table() / next_words.FILE).is_file() else None
    runs = Records(rows_table()).runs()
    if any(recorded["status"] == "running" for recorded in runs):
        pytest.skip("A row is in training: the tables are behind its figures until `make results`.")
    pictures = [f"ptb/curves_{size}.svg" for size in report.by_size(runs)]
    assert (
        report.markdown(rows_table(), runs, comparison, pictures)
        in (REPOSITORY / "experiments" / "README.md").read_text()
    )
    assert all((rows_table().parent / picture).is_file() for picture in pictures)


def rows_table():
    return REPOSITORY / "experiments" / "ptb"
