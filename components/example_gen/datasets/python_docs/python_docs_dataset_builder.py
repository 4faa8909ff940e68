"""The python_docs dataset: the text that ships with this Python."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from components.artifacts.splits import SPLITS
from components.example_gen import python_library, splits
from components.example_gen.datasets import features
from components.example_gen.lines import file_runs, split_lines


class Builder(tfds.core.GeneratorBasedBuilder):
    """Language reference topics and docstrings, with whole modules held out by a stable hash of their names.

    Attributes:
        LIBRARY: Folder of the standard library that is read.
    """

    VERSION = tfds.core.Version("2.0.0")
    LIBRARY: Path = python_library.library_folder()

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.run_features(),
            homepage="https://docs.python.org/3/reference/",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        documents = list(python_library.documents(self.LIBRARY))
        held_out = _hold_out(documents)
        divided: dict[str, list[tuple[str, str]]] = {split: [] for split in SPLITS}
        for name, text in documents:
            divided[held_out.get(python_library.module(name), "train")].append((name, text))
        return {
            "train": self._generate_examples(divided["train"]),
            "validation": self._generate_examples(divided["eval"]),
            "test": self._generate_examples(divided["test"]),
        }

    def _generate_examples(self, documents: Sequence[tuple[str, str]]) -> Iterator:
        return features.examples(run for name, text in documents for run in file_runs(split_lines(text.encode()), name))


def _hold_out(documents: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Returns the split of each held-out module: modules are taken by their hashes until each split has its share."""
    sizes: collections.Counter[str] = collections.Counter()
    for name, text in documents:
        sizes[python_library.module(name)] += len(text)
    waiting = sorted(sizes, key=lambda module: splits.document_fraction(module.encode()))
    held_out: dict[str, str] = {}
    for split in ("test", "eval"):
        left = splits.HELD_OUT_SHARE * sizes.total()
        while left > 0:
            held_out[module := waiting.pop()] = split
            left -= sizes[module]
    return held_out
