"""The penn_treebank dataset: Mikolov's preparation of the Wall Street Journal text, from a local copy."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from components.example_gen.datasets import features
from components.example_gen.lines import file_runs


class Builder(tfds.core.GeneratorBasedBuilder):
    """The Penn Treebank; each split is one document, because the preparation has no document boundaries."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put ptb.train.txt, ptb.valid.txt and ptb.test.txt in the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.run_features(),
            homepage="https://catalog.ldc.upenn.edu/LDC99T42",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return features.local_splits("penn_treebank", dl_manager, self._generate_examples)

    def _generate_examples(self, path: Path) -> Iterator:
        return features.examples(file_runs(features.file_lines(path), path.name))
