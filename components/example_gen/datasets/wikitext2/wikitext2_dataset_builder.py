"""The wikitext2 dataset: WikiText-2, from a local copy of its files."""

from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from components.example_gen.datasets import features
from components.example_gen.datasets.wikitext_files import article_runs


class Builder(tfds.core.GeneratorBasedBuilder):
    """WikiText-2; each article is a document."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens in the folder."

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=features.run_features(),
            homepage="https://huggingface.co/datasets/Salesforce/wikitext",
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return features.local_splits("wikitext2", dl_manager, self._generate_examples)

    def _generate_examples(self, path: Path) -> Iterator:
        return features.examples(article_runs(features.file_lines(path), path.name))
