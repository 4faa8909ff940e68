"""Any TFDS name with a text feature, shown on small datasets that are prepared here."""

import os

import numpy as np
import pytest
import tensorflow_datasets as tfds

from components.base import ComponentError
from components.example_gen import tfds_source

POEMS = [f"poem {number}\n\nits end {number}" for number in range(300)]


@pytest.fixture
def prepare(tmp_path):
    """Prepares a dataset of the given splits (lists of examples) in a folder and returns that folder."""

    def write(name: str, splits: dict[str, list[dict]], features: dict, version: str = "1.0.0"):
        with tfds.core.registered.skip_registration():

            class Builder(tfds.core.GeneratorBasedBuilder):
                VERSION = tfds.core.Version(version)

                def _info(self):
                    return tfds.core.DatasetInfo(
                        builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
                    )

                def _split_generators(self, dl_manager):
                    return {split: enumerate(examples) for split, examples in splits.items()}

                def _generate_examples(self):
                    return iter(())  # abstract in TFDS; the splits above hold their examples already

        Builder.name = name
        folder = tmp_path / "prepared"
        Builder(data_dir=folder).download_and_prepare()
        return str(folder)

    return write


@pytest.fixture
def prepare_texts(prepare):
    features = {"id": tfds.features.Text(), "text": tfds.features.Text()}
    features["stars"] = tfds.features.ClassLabel(num_classes=5)

    def write(**splits: list):
        rows = {
            split: [{"id": str(place), "text": text, "stars": place % 5} for place, text in enumerate(texts)]
            for split, texts in splits.items()
        }
        return prepare("poems", rows, features)

    return write


def _texts(records) -> list[bytes]:
    texts: dict[str, bytes] = {}
    for record in records:
        texts[record.document] = texts.get(record.document, b"") + record.text
    return list(texts.values())


@pytest.mark.parametrize("chunk_bytes", [3000, 10**7])
def test_a_prepared_copy_is_read_in_order(prepare_texts, generate, read_split, chunk_bytes):
    folder = prepare_texts(train=POEMS, validation=["one\n", ""], test=["two"])
    generated = generate(dataset="poems", data_dir=folder, chunk_bytes=chunk_bytes)
    assert _texts(read_split(generated.folder, "train")) == [poem.encode() for poem in POEMS]
    assert _texts(read_split(generated.folder, "eval")) == [b"one\n"]
    assert _texts(read_split(generated.folder, "test")) == [b"two"]
    assert generated.figures["train_documents"] == 300 and generated.figures["train_lines"] == 900
    assert read_split(generated.folder, "train")[7].document == "train:7"


def test_splits_that_a_dataset_lacks_are_held_out_by_document(prepare_texts, generate, read_split):
    folder = prepare_texts(train=POEMS, test=["the test\n"])
    generated = generate(dataset="poems", data_dir=folder, chunk_bytes=3000)
    train, held_out = (_texts(read_split(generated.folder, split)) for split in ("train", "eval"))
    assert sorted(train + held_out) == sorted(poem.encode() for poem in POEMS)
    assert 5 <= len(held_out) <= 30
    assert train == [poem.encode() for poem in POEMS if poem.encode() not in held_out]
    assert _texts(read_split(generated.folder, "test")) == [b"the test\n"]


@pytest.mark.parametrize("chunk_bytes", [1, 10**7])
def test_few_examples_are_held_out_by_line(prepare_texts, generate, read_split, chunk_bytes):
    texts = ["".join(f"{book} {line}\n" for line in range(40)) for book in range(5)]
    folder = prepare_texts(corpus=texts)
    output = generate(dataset="poems", data_dir=folder, chunk_bytes=chunk_bytes).folder
    lines = "".join(texts).encode().splitlines(keepends=True)
    for split, expected in (("train", lines[:180]), ("eval", lines[180:190]), ("test", lines[190:])):
        assert b"".join(record.text for record in read_split(output, split)) == b"".join(expected)
    assert read_split(output, "test")[0].position == 30


def test_the_folder_of_one_version_is_enough(prepare_texts, generate):
    folder = prepare_texts(train=POEMS)
    assert generate(dataset="poems", data_dir=f"{folder}/poems/1.0.0").figures["train_lines"] > 700


def test_a_prepared_copy_of_a_registered_dataset_is_read(prepare, generate):
    rows = [{"text": f"a line {number}\n"} for number in range(60)]
    folder = prepare("lm1b", {"train": rows, "test": rows[:2]}, {"text": tfds.features.Text()}, version="1.1.0")
    figures = generate(dataset="lm1b", data_dir=folder).figures
    assert figures["train_lines"] + figures["eval_lines"] == 60 and figures["test_lines"] == 2


def test_a_prepared_copy_of_another_version_is_named(prepare, generate):
    folder = prepare("lm1b", {"train": [{"text": "a\n"}]}, {"text": tfds.features.Text()}, version="0.9.0")
    with pytest.raises(ComponentError, match="example_gen.data_dir: .* holds 0.9.0/, but not lm1b/1.1.0"):
        generate(dataset="lm1b", data_dir=folder)


def test_a_folder_of_the_name_that_holds_another_dataset_is_refused(prepare_texts, generate):
    folder = prepare_texts(train=POEMS)
    os.rename(f"{folder}/poems", f"{folder}/songs")
    with pytest.raises(ComponentError, match="found 'songs', but .*/songs holds a copy of poems"):
        generate(dataset="songs", data_dir=folder)


def test_a_dataset_without_text_names_its_features(prepare, generate):
    folder = prepare("numbers", {"train": [{"n": 1}]}, {"n": tfds.features.Scalar(np.int64)})
    with pytest.raises(ComponentError, match=r"numbers has no text.*n \(Scalar\)"):
        generate(dataset="numbers", data_dir=folder)


def test_a_dataset_without_a_split_to_train_on_names_its_splits(prepare_texts, generate):
    folder = prepare_texts(validation=["a\n"], test=["b\n"])
    with pytest.raises(ComponentError, match="no split to train on; it has validation, test"):
        generate(dataset="poems", data_dir=folder)


def test_an_unreachable_dataset_says_how_to_supply_a_prepared_copy(monkeypatch, tmp_path):
    def no_address(*_):
        raise OSError("no address")

    monkeypatch.setattr(tfds_source.socket, "getaddrinfo", no_address)
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    builder = tfds.builder("lm1b", data_dir=tmp_path)
    with pytest.raises(ComponentError, match="www.statmt.org: no address.*tfds build lm1b.*example_gen.data_dir"):
        tfds_source.prepare(builder)
