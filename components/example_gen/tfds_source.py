"""TensorFlow Datasets as a source: opening, preparing, and reading ranges of examples in order."""

import contextlib
import functools
import io
import itertools
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tensorflow_datasets as tfds

from components.artifacts.splits import SPLITS
from components.base import ComponentError
from components.example_gen import splits
from components.example_gen.lines import LineRun, file_runs, split_lines
from components.example_gen.text_files import SourceChunk

_BATCH_BYTES = 4 * 1024 * 1024
_MAX_BATCH = 1024
_USUAL_NAMES = ("text", "content", "document", "article", "book_text", "description", "sentence")


@functools.cache
def registered_names() -> list[str]:
    """Returns the names of the datasets that come with the installed TensorFlow Datasets."""
    return tfds.list_builders(with_community_datasets=False)


def open_builder(dataset: str, folder: Path | None) -> tfds.core.DatasetBuilder:
    """Opens a dataset, prepared or not.

    Args:
        dataset: TFDS name, with its configuration and version if needed: `wiki40b/en:1.3.0`.
        folder: A prepared copy's folder (as `corpora.prepared_folder` finds it), or None for TFDS's own folder.

    Raises:
        ComponentError: If the dataset, its configuration or its version does not exist there, or the folder of its name
            holds another dataset.
    """
    try:
        if folder is None:
            return tfds.builder(dataset)
        if (folder / "dataset_info.json").is_file():
            return tfds.builder_from_directory(folder)
        builder = tfds.builder(dataset, data_dir=folder.parent)
        found = builder.info.name
    except Exception as error:  # TFDS raises ValueError, AssertionError, ImportError and more for a bad name
        reason = str(error).strip().split("\n")[0]
        raise ComponentError(f"example_gen.dataset: {dataset!r} cannot be opened: {reason}") from error
    if found != folder.name:
        raise ComponentError(
            f"example_gen.dataset: found {dataset!r}, but {folder} holds a copy of {found}. Give the folder that name."
        )
    return builder


def text_feature(builder: tfds.core.DatasetBuilder) -> str:
    """Returns the name of the feature that holds the text: one of the usual names, otherwise the first text feature.

    Args:
        builder: The dataset.

    Raises:
        ComponentError: If no feature is text.
    """
    features = builder.info.features
    names = [name for name, feature in features.items() if _is_text(feature)] if hasattr(features, "items") else []
    if not names:
        listed = ", ".join(f"{name} ({type(feature).__name__})" for name, feature in features.items())
        raise ComponentError(
            f"example_gen.dataset: {builder.info.name} has no text to learn from; its features are {listed}. "
            "Choose a dataset with a Text feature."
        )
    return next((name for name in _USUAL_NAMES if name in names), names[0])


def _is_text(feature: tfds.features.FeatureConnector) -> bool:
    return isinstance(feature, tfds.features.Text) and feature.shape == ()


def prepare(builder: tfds.core.DatasetBuilder, manual_dir: Path | None = None) -> tfds.core.DatasetBuilder:
    """Prepares a dataset if that was not done before; TFDS's messages go to standard error.

    Args:
        builder: The dataset; it is prepared in its `data_dir`.
        manual_dir: Folder of the files that the user supplied, or None.

    Raises:
        ComponentError: If the dataset's files cannot be downloaded or read.
    """
    if Path(builder.data_dir).exists():
        return builder
    if manual_dir is None:
        _check_host(builder)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_config=config)
    except Exception as error:  # requests', TFDS's and the builder's own errors
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise ComponentError(_unreachable(builder, reason)) from error
    return builder


def prepare_known(builder_class: type, folder: Path, manual_dir: Path | None) -> tfds.core.DatasetBuilder:
    """Prepares one of this project's datasets without printing anything.

    Args:
        builder_class: The dataset's class.
        folder: An empty folder: TFDS would use what it prepared before, even if the source has changed.
        manual_dir: Folder of the files that the user supplied, or None.
    """
    builder = builder_class(data_dir=folder)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config)
    finally:
        tfds.enable_progress_bar()
    return builder


def _check_host(builder: tfds.core.DatasetBuilder) -> None:
    """Fails at once if the first host has no address: TFDS would retry for more than three minutes."""
    host = urlsplit(next(iter(builder.url_infos or {}), "")).hostname
    if host is None or any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ComponentError(_unreachable(builder, f"{host}: {error.strerror or error}")) from error


def _unreachable(builder: tfds.core.DatasetBuilder, reason: str) -> str:
    return (
        f"example_gen.dataset: {builder.info.full_name} could not be downloaded and prepared ({reason}). Prepare it "
        f"on a machine with a network, with `tfds build {builder.info.full_name.rsplit('/', 1)[0]} --data_dir=FOLDER`, "
        "copy the folder here and name it with example_gen.data_dir."
    )


@dataclass(frozen=True)
class ExamplePiece:
    """A range of a prepared split's examples that one worker reads.

    Attributes:
        folder: The prepared dataset's folder.
        split: Name of the split in the dataset.
        start: Index of the first example.
        end: Index behind the last example.
        feature: The feature that holds the text.
        is_run: Whether the examples already are runs with their `document` and `position`.
        batch: Number of examples that are read at once.
    """

    folder: str
    split: str
    start: int
    end: int
    feature: str
    is_run: bool
    batch: int

    def runs(self) -> Iterator[LineRun]:
        """Yields the examples' texts as runs; an example without text has none."""
        features = ("document", "position", self.feature) if self.is_run else (self.feature,)
        index = self.start
        for batch in _batches(self, features):
            for row, text in enumerate(batch[self.feature]):
                if self.is_run:
                    yield LineRun(batch["document"][row].decode(), int(batch["position"][row]), split_lines(text))
                else:
                    yield from file_runs(split_lines(text), f"{self.split}:{index}")
                index += 1

    def count_lines(self) -> int:
        """Returns the number of lines of the examples' texts."""
        return sum(len(run.lines) for run in self.runs())


def _batches(piece: ExamplePiece, features: Sequence[str]) -> Iterator[dict[str, Any]]:
    builder = tfds.builder_from_directory(piece.folder)
    others = set(builder.info.features) - set(features)
    decoders = tfds.decode.PartialDecoding(dict.fromkeys(features, True)) if others else None
    dataset = builder.as_dataset(
        split=f"{piece.split}[{piece.start}:{piece.end}]",
        shuffle_files=False,
        decoders=decoders,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),  # 1: the order of the files
    )
    return iter(tfds.as_numpy(dataset.batch(piece.batch)))


def plan(builder: tfds.core.DatasetBuilder, chunk_bytes: int, warnings: list[str]) -> list[SourceChunk]:
    """Lists the chunks of a prepared dataset in order: train, eval, test; missing splits are held out of train.

    Args:
        builder: The prepared dataset.
        chunk_bytes: About how many bytes of text a chunk has.
        warnings: Receives a warning about splits that are left out.

    Raises:
        ComponentError: If it has no text feature, no split to train on, or too little text for three splits.
    """
    by_split = _source_splits(builder, warnings)
    missing = [split for split in SPLITS[1:] if split not in by_split]
    train = _pieces(builder, by_split["train"], chunk_bytes)
    chunks = (
        _hold_out(train, missing) if missing else [SourceChunk((piece,), splits.WholeSplit("train")) for piece in train]
    )
    for split in SPLITS[1:]:
        if split in by_split:
            pieces = _pieces(builder, by_split[split], chunk_bytes)
            chunks += [SourceChunk((piece,), splits.WholeSplit(split)) for piece in pieces]
    return chunks


def _source_splits(builder: tfds.core.DatasetBuilder, warnings: list[str]) -> dict[str, str]:
    """Returns the dataset's split for each of this project's splits; if it has only one, that is train's."""
    names = [name for name, info in builder.info.splits.items() if info.num_examples]
    by_split: dict[str, str] = {}
    for name in names:
        if (split := splits.split_of_name(name)) is not None:
            by_split.setdefault(split, name)
    if "train" not in by_split and len(names) == 1:
        by_split = {"train": names[0]}
    if "train" not in by_split:
        raise ComponentError(
            f"example_gen.dataset: {builder.info.full_name} has no split to train on; it has {', '.join(names)}."
        )
    if left_out := [name for name in names if name not in by_split.values()]:
        taken = ", ".join(f"{name} as {split}" for split, name in by_split.items())
        warnings.append(f"{builder.info.full_name}: {taken} are read; {', '.join(left_out)} are left out.")
    return by_split


def _pieces(builder: tfds.core.DatasetBuilder, split: str, chunk_bytes: int) -> list[ExamplePiece]:
    info, feature = builder.info.splits[split], text_feature(builder)
    count, size = info.num_examples, max(info.num_bytes, 1)
    step = max(1, chunk_bytes * count // size)
    batch = min(_MAX_BATCH, max(1, _BATCH_BYTES * count // size))
    is_run = {"document", "position", "text"} == set(builder.info.features)
    whole = ExamplePiece(str(builder.data_dir), split, 0, count, feature, is_run, batch)
    return [replace(whole, start=start, end=min(start + step, count)) for start in range(0, count, step)]


def _hold_out(pieces: list[ExamplePiece], missing: Sequence[str]) -> list[SourceChunk]:
    """Chunks of train whose rule takes the missing splits: by document, or by line where documents are few."""
    if sum(piece.end - piece.start for piece in pieces) >= splits.MIN_DOCUMENTS_TO_HASH:
        few = (run for piece in pieces for run in piece.runs() if run.position == 0)
        fractions = [splits.run_fraction(run) for run in itertools.islice(few, splits.HASHES_TO_LOOK_AT)]
        rule = splits.hold_out_documents(fractions, missing)
        return [SourceChunk((piece,), rule) for piece in pieces]
    counts = [piece.count_lines() for piece in pieces]
    rule = splits.hold_out_lines(sum(counts), missing)
    return [SourceChunk((piece,), rule, sum(counts[:index])) for index, piece in enumerate(pieces)]
