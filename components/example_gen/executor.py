"""Reads the corpus's chunks with Beam, each chunk by one worker, and names the shards by their place."""

import importlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from components import beam_pipeline
from components.base import ComponentError, Context
from components.example_gen import download, shards, sources, text_files, tfds_source
from components.example_gen.splits import SPLITS
from components.example_gen.text_files import Chunk

_LOG = logging.getLogger(__name__)


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Any, context: Context
) -> dict[str, Any]:
    """Writes the splits of the corpus.

    Args:
        inputs: None are needed.
        outputs: `examples`, an empty folder.
        parameters: `ExampleGen.Parameters`.
        context: Its workspace holds what is prepared on the way.

    Returns:
        Figures: the dataset, documents, lines and bytes of each split, number of shards, and warnings if any.

    Raises:
        ComponentError: If the source is missing, unreachable or unreadable, or leaves a split empty.
    """
    del inputs
    examples = outputs["examples"]
    context.workspace.mkdir(parents=True, exist_ok=True)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(dir=context.workspace) as scratch:
        chunks = plan(parameters, Path(scratch), warnings)
        # Beside the output: shards are then published by renaming, and one file system holds both.
        with tempfile.TemporaryDirectory(dir=examples, prefix=".shards-") as aside:
            _write(chunks, Path(aside), parameters)
            totals = shards.read_counts(Path(aside))
            _check_not_empty(totals, parameters)
            numbers = shards.publish(Path(aside), examples)
    for warning in warnings:
        _LOG.warning(warning)
    figures: dict[str, Any] = {"dataset": parameters.dataset}
    for name in ("lines", "documents", "bytes"):
        figures |= {f"{split}_{name}": getattr(counts, name) for split, counts in totals.items()}
    figures["shards"] = sum(numbers.values())
    return figures | ({"warnings": warnings} if warnings else {})


def plan(parameters: Any, scratch: Path, warnings: list[str]) -> list[Chunk]:
    """Lists the corpus's chunks in order, preparing the dataset in `scratch` where it is one of TFDS's kind."""
    dataset, chunk_bytes = parameters.dataset, parameters.chunk_bytes
    if dataset == "text_files":
        folder = sources.data_folder(parameters)
        return text_files.plan(folder, parameters.pattern, parameters.document, chunk_bytes)
    if dataset in sources.KNOWN_DATASETS:
        manual_dir = _manual_dir(parameters, scratch, warnings)
        module = importlib.import_module(f"components.example_gen.datasets.{dataset}.{dataset}_dataset_builder")
        prepared = scratch / "prepared"
        prepared.mkdir()
        return tfds_source.plan(tfds_source.prepare_known(module.Builder, prepared, manual_dir), chunk_bytes)
    sources.check_dataset(dataset, parameters.data_dir)
    if parameters.data_dir is None:
        return tfds_source.plan(tfds_source.prepare(tfds_source.open_builder(dataset, None)), chunk_bytes)
    folder = sources.prepared_folder(dataset, sources.data_folder(parameters))
    builder = tfds_source.open_builder(dataset, folder)
    if not Path(builder.data_dir).exists():
        raise ComponentError(
            f"example_gen.data_dir: {folder} holds {text_files.contents(folder)}, but not {builder.info.full_name}. "
            "Prepare that version there, or name the one that is there in example_gen.dataset."
        )
    return tfds_source.plan(builder, chunk_bytes)


def _manual_dir(parameters: Any, scratch: Path, warnings: list[str]) -> Path | None:
    """The folder with the files of a local corpus, downloaded where an address is given; None if it needs none."""
    if parameters.dataset not in sources.LOCAL_CORPORA:
        return None
    if sources.is_remote(parameters):
        folder = download.fetch(parameters.source_url, parameters.source_sha256, scratch)
    else:
        folder = sources.data_folder(parameters)
    found = sources.local_files(parameters.dataset, folder)
    for name in sources.wrong_checksums(parameters.dataset, found):
        warnings.append(
            f"{name} in {folder} is not the file that {parameters.dataset} is published with (its checksum differs): "
            "figures will not compare with published ones."
        )
    return folder


def _write(chunks: Sequence[Chunk], folder: Path, parameters: Any) -> None:
    for name in (*SPLITS, "counts"):
        (folder / name).mkdir()

    with beam_pipeline.pipeline(parameters.beam_args) as pipeline:
        _ = (
            pipeline
            | "Chunks" >> beam.Create(list(enumerate(chunks)), reshuffle=True)
            | "Write" >> beam.ParDo(shards.WriteChunk(str(folder), parameters.chunk_bytes))
        )


def _check_not_empty(totals: Mapping[str, shards.SplitCounts], parameters: Any) -> None:
    for split, counts in totals.items():
        if not counts.blank:
            continue
        found = f"its {counts.lines} line(s) are blank" if counts.lines else "nothing belongs to it"
        others = ", ".join(f"{other} {totals[other].lines} lines" for other in SPLITS if other != split)
        raise ComponentError(
            f"example_gen.dataset: the {split} split of {parameters.dataset} is empty: {found} ({others}). "
            "Supply more text, or files whose names say train, valid and test."
        )
