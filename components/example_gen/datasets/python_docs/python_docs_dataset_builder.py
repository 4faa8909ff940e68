"""The python_docs dataset: the text that ships with this Python."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from components.example_gen import python_library, splits
from components.example_gen.datasets import features
from components.example_gen.lines import file_runs, split_lines


class Builder(tfds.core.GeneratorBasedBuilder):
    """Language reference topics and docstrings, divided by a stable hash of the document's name.

    Attributes:
        LIBRARY: Folder of the standard library that is read.
    """

    VERSION = tfds.core.Version("1.0.0")
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
        fractions = [splits.document_fraction(name.encode()) for name, _ in documents]
        rule = splits.hold_out_documents(fractions, ["eval", "test"])
        divided: dict[str, list[tuple[str, str]]] = {split: [] for split in splits.SPLITS}
        for document, fraction in zip(documents, fractions, strict=True):
            divided[rule.split_of(fraction)].append(document)
        return {
            "train": self._generate_examples(divided["train"]),
            "validation": self._generate_examples(divided["eval"]),
            "test": self._generate_examples(divided["test"]),
        }

    def _generate_examples(self, documents: Sequence[tuple[str, str]]) -> Iterator:
        return features.examples(run for name, text in documents for run in file_runs(split_lines(text.encode()), name))
