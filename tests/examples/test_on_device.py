"""The example for devices cuts texts into the ids that the pipeline reads."""

import importlib.util
from pathlib import Path

import pytest
import tensorflow as tf

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
from models.language_model import LanguageModel  # noqa: E402
from models.serving import hub_export, litert_export  # noqa: E402  (after the skip)
from models.text.tokenizer import Tokenizer  # noqa: E402

pytestmark = pytest.mark.litert
WORDS = "<unk> <eos> the cat sat don't well-known 3.14 1,000 12:30 , . ... ( ) -> é the, ##s ##at c é. os.path".split()
WORDS += ["#", "##", "###"]
TEXTS = [
    "the cat sat ",
    "the cat\nsat\n\n  \nthe ",
    "\r\nthe\rcat ",
    "don't (well-known) ... 3.14, 1,000 12:30 -> e\u0301. os.path ",
    "cats that cat\tsat\n",
    "<unk> the <eos> ",
    "### the ## cat # ",
    "",
]


@pytest.fixture(scope="module")
def example():
    path = Path(__file__).parents[2] / "examples" / "on_device.py"
    spec = importlib.util.spec_from_file_location("on_device", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tflite():
    return litert_export.convert(LanguageModel(len(WORDS), 8, augmented=False))


@pytest.mark.parametrize("kind", ["whitespace", "unicode_words", "wordpiece"])
@pytest.mark.parametrize("keep_blank_lines", [False, True])
def test_texts_become_the_pipelines_ids(kind, keep_blank_lines, example, tflite, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tflite)
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = Tokenizer(kind, True, keep_blank_lines, tmp_path / "vocabulary.txt")
    hub_export.write_tokenizer(tokenizer, tmp_path / "vocabulary.txt", tmp_path)
    suggester = example.Suggester(tmp_path)
    expected = tokenizer.encode(tf.constant(TEXTS), open_last_line=True).to_list()
    for text, ids in zip(TEXTS, expected, strict=True):
        suggester.suggest(text.upper() if text.isascii() and "<" not in text else text)
        assert suggester.read == [1, *ids], text


def test_a_deleted_key_gives_what_was_there_before(example, tflite, tmp_path):
    (tmp_path / "model.tflite").write_bytes(tflite)
    (tmp_path / "vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = Tokenizer("whitespace", False, False, tmp_path / "vocabulary.txt")
    hub_export.write_tokenizer(tokenizer, tmp_path / "vocabulary.txt", tmp_path)
    suggester = example.Suggester(tmp_path)
    before = suggester.suggest("the cat ")
    suggester.suggest("the cat sat on ")
    assert suggester.suggest("the cat ") == before
    probabilities = dict(before)
    for word, probability in suggester.suggest("the cat t"):
        assert word in ("the", "the,")
        assert probability == pytest.approx(probabilities.get(word, probability), rel=1e-5)
