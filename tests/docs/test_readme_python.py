"""README's Python block runs as it is written, with a folder of tokens in place of `…`."""

import re
from pathlib import Path

import numpy as np
import pytest

from components.artifacts.splits import split_dir
from models.text.token_stream import TokenWriter, write_index

README = Path(__file__).parents[2] / "README.md"
TOKENS = {"train": 20 * 35 * 3, "eval": 1300}  # three windows, and two, the last not full


@pytest.fixture
def tokens(tmp_path):
    """A folder as Transform writes it."""
    for split, count in TOKENS.items():
        folder = split_dir(tmp_path / "tokens", split)
        folder.mkdir(parents=True)
        with TokenWriter(folder / "tokens-00000-of-00001") as writer:
            writer.write(np.random.default_rng(1).integers(1, 50, count))
        write_index(folder, [(writer.path.name, writer.counts)])
    return tmp_path / "tokens"


def test_the_block_trains_evaluates_saves_and_loads(tokens, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code.count("…") == 2
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code.replace("…", str(tokens)), "README.md", "exec"), names)

    history = names["history"].history
    assert {"loss", "perplexity", "val_perplexity"} <= history.keys()
    assert len(history["loss"]) == 3 and history["loss"][-1] < history["loss"][0]
    figures = names["model"].evaluate(names["valid"], return_dict=True, verbose=0)
    assert figures.keys() == {"loss", "perplexity"}
    assert figures["perplexity"] == pytest.approx(history["val_perplexity"][-1], rel=1e-5)
    other_windows = names["windows"](names["TokenStream"](split_dir(tokens, "eval")), batch_size=1, sequence_length=70)
    found = names["model"].evaluate(other_windows, return_dict=True, verbose=0)
    assert found["perplexity"] == pytest.approx(figures["perplexity"], rel=1e-4), "exact, whatever the window length"
    loaded = names["keras"].saving.load_model("m.keras")
    assert int(loaded.optimizer.iterations) == int(names["model"].optimizer.iterations) == 9
    assert loaded.evaluate(names["valid"], return_dict=True, verbose=0) == pytest.approx(figures, rel=1e-5)
