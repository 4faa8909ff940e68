"""Shared helpers of the dataset builders: their examples are runs of whole lines, as ExampleGen writes them.

One TFDS example for each line would be a hundred times slower to prepare; one for each document would not bound the
memory.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from components.example_gen import corpora, text_files
from components.example_gen.lines import LineRun


def run_features() -> tfds.features.FeaturesDict:
    """Returns the features of an example: {document, position, text}."""
    return tfds.features.FeaturesDict(
        {
            "document": tfds.features.Text(doc="Name of the document."),
            "position": tfds.features.Scalar(dtype=np.int64, doc="Index in the document of the text's first line."),
            "text": tfds.features.Text(doc="Consecutive whole lines, with their line ends."),
        }
    )


def examples(runs: Iterable[LineRun]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (index in the split, example) for each run; integer keys keep the order.

    Args:
        runs: The runs of lines, in the split's order.
    """
    for place, run in enumerate(runs):
        yield place, {"document": run.document, "position": run.position, "text": run.text}


def file_lines(path: Path) -> Iterator[bytes]:
    """Yields the lines of a corpus's file without loading the file.

    Args:
        path: The file.
    """
    return text_files.whole_file(path, path.name, blocks=False).lines()


def local_splits(
    dataset: str, dl_manager: tfds.download.DownloadManager, generate_examples: Callable[[Path], Iterator]
) -> dict[str, Iterator]:
    """Returns the three splits of a corpus with one local file for each, under TFDS's names for them.

    Args:
        dataset: A key of `LOCAL_CORPORA`.
        dl_manager: TFDS's download manager; its `manual_dir` is the folder of the files.
        generate_examples: Reads the examples of a file.

    Raises:
        ComponentError: If the files are missing or are not text.
    """
    files = corpora.local_files(dataset, Path(dl_manager.manual_dir))
    names = {"train": "train", "validation": "eval", "test": "test"}
    return {name: generate_examples(files[split]) for name, split in names.items()}
