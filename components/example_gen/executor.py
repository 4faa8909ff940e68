"""Reads the corpus's chunks with Beam, each chunk by one worker, and publishes the shards in the corpus's order."""

import importlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from components import beam_pipeline
from components.artifacts.splits import SPLITS
from components.artifacts.statistics import SOURCES
from components.base import ComponentError, Context
from components.example_gen import corpora, download, file_stamp, folder_listing, shards, text_files, tfds_source
from components.example_gen.file_stamp import Stamp
from components.example_gen.text_files import FileBytes, SourceChunk
from components.text_bytes import printable

LISTED = 1000  # number of files with bytes that are not text that are named, the worst first

_LOG = logging.getLogger(__name__)


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Any, context: Context
) -> dict[str, Any]:
    """Writes the splits of the corpus.

    `sources.json` is written if there is something to report about the files of `text_files`. It holds {"skipped":
    {name: reason}, "outside": number of files behind links that lead out of the folder, "files": {name: bytes, invalid
    bytes and NUL bytes of each file with bytes that are not text}}.

    Args:
        inputs: Empty; the component has no inputs.
        outputs: `examples` receives the shards of the three splits and, if needed, `sources.json`.
        parameters: The corpus, its place, how it is read, and Beam's options.
        context: Its workspace holds datasets that are prepared for reading.

    Returns:
        `dataset`, the documents, lines and bytes of each split, `shards` (their number) and, if there are any,
        `skipped_files`, `outside_files` and `warnings`.

    Raises:
        ComponentError: If the source is missing, unreachable or unreadable, changed while it was read, or leaves a
            split empty.
    """
    del inputs
    examples = outputs["examples"]
    context.workspace.mkdir(parents=True, exist_ok=True)
    warnings: list[str] = []
    with tempfile.TemporaryDirectory(dir=context.workspace) as scratch:
        chunks, stamps = plan(parameters, Path(scratch), warnings)
        # In the output's folder, so that shards can be published by renaming within one file system.
        with tempfile.TemporaryDirectory(dir=examples, prefix=".shards-") as aside:
            _write(chunks, Path(aside), parameters)
            totals = shards.read_counts(Path(aside), len(chunks))
            file_stamp.check_unchanged(stamps.items())
            _check_not_empty(totals, parameters)
            files = shards.read_files(Path(aside))
            numbers = shards.publish(Path(aside), examples)
    figures: dict[str, Any] = {"dataset": parameters.dataset}
    for name in ("lines", "documents", "bytes"):
        figures |= {f"{split}_{name}": getattr(counts, name) for split, counts in totals.items()}
    figures["shards"] = sum(numbers.values())
    figures |= _write_sources(parameters, files, examples, warnings)
    for warning in warnings:
        _LOG.warning(warning)
    return figures | ({"warnings": warnings} if warnings else {})


def _write_sources(
    parameters: Any, files: Mapping[str, FileBytes], examples: Path, warnings: list[str]
) -> dict[str, int]:
    """Writes `sources.json` if files were skipped, lie outside the folder or have bytes that are not text."""
    if parameters.dataset != "text_files":
        return {}
    folder = corpora.text_folder(parameters)
    listing = folder_listing.list_folder(folder)
    outside = len(listing.outside & files.keys())
    skipped = {printable(name): reason for name, reason in listing.skipped.items()}
    suspect = sorted(
        ((name, counts) for name, counts in files.items() if counts.invalid or counts.nul),
        key=lambda item: (-(item[1].invalid + item[1].nul) / item[1].size, item[0]),
    )
    if skipped:
        some = ", ".join(f"{name} ({reason})" for name, reason in list(skipped.items())[:5])
        more = f" and {len(skipped) - 5:,} more" if len(skipped) > 5 else ""
        warnings.append(f"{len(skipped):,} of the entries of {folder} cannot be read and are skipped: {some}{more}.")
    if skipped or outside or suspect:
        listed = {
            printable(name): {"bytes": counts.size, "invalid_bytes": counts.invalid, "nul_bytes": counts.nul}
            for name, counts in suspect[:LISTED]
        }
        SOURCES.write(examples, {"skipped": skipped, "outside": outside, "files": listed})
    figures = {"skipped_files": len(skipped), "outside_files": outside}
    return {name: number for name, number in figures.items() if number}


def plan(parameters: Any, scratch: Path, warnings: list[str]) -> tuple[list[SourceChunk], dict[str, Stamp]]:
    """Lists the corpus's chunks in order, after preparing the dataset if it is one of TFDS.

    Args:
        parameters: ExampleGen's parameters.
        scratch: An empty folder for what is prepared.
        warnings: Receives warnings about the source.

    Returns:
        The chunks, and the stamps of the text files, which must not change until they have been read.

    Raises:
        ComponentError: If the source is missing, unreachable or unreadable.
    """
    dataset, chunk_bytes = parameters.dataset, parameters.chunk_bytes
    if dataset == "text_files":
        folder = corpora.text_folder(parameters)
        chunks = text_files.plan(folder, parameters.pattern, parameters.document, chunk_bytes, warnings)
        return chunks, {piece.path: piece.stamp for chunk in chunks for piece in chunk.pieces}
    if dataset in corpora.KNOWN_DATASETS:
        manual_dir, stamps = _manual_dir(parameters, scratch, warnings)
        module = importlib.import_module(f"components.example_gen.datasets.{dataset}.{dataset}_dataset_builder")
        prepared = scratch / "prepared"
        prepared.mkdir()
        builder = tfds_source.prepare_known(module.Builder, prepared, manual_dir)
        return tfds_source.plan(builder, chunk_bytes, warnings), stamps
    corpora.check_dataset(dataset, parameters.data_dir)
    if parameters.data_dir is None:
        builder = tfds_source.prepare(tfds_source.open_builder(dataset, None))
        return tfds_source.plan(builder, chunk_bytes, warnings), {}
    folder = corpora.prepared_folder(dataset, corpora.data_folder(parameters))
    builder = tfds_source.open_builder(dataset, folder)
    if not Path(builder.data_dir).exists():
        raise ComponentError(
            f"example_gen.data_dir: {folder} holds {folder_listing.contents(folder)}, but not "
            f"{builder.info.full_name}. Prepare that version there, or name the existing one in "
            "example_gen.dataset."
        )
    return tfds_source.plan(builder, chunk_bytes, warnings), {}


def _manual_dir(parameters: Any, scratch: Path, warnings: list[str]) -> tuple[Path | None, dict[str, Stamp]]:
    """Returns the folder with the files of a local corpus, downloaded if needed, and the files' stamps.

    The folder is None if the corpus needs none.
    """
    if parameters.dataset not in corpora.LOCAL_CORPORA:
        return None, {}
    if corpora.is_remote(parameters):
        folder = download.fetch(parameters.source_url, parameters.source_sha256, scratch)
    else:
        folder = corpora.data_folder(parameters)
    files = corpora.local_files(parameters.dataset, folder)
    stamps = {str(path): file_stamp.stamp(path) for path in files.values()}
    for name in corpora.wrong_checksums(parameters.dataset, files):
        warnings.append(
            f"{name} in {folder} is not the published file of {parameters.dataset} (its checksum differs): "
            "figures are not comparable with published ones."
        )
    return folder, stamps


def _write(chunks: Sequence[SourceChunk], folder: Path, parameters: Any) -> None:
    for name in (*SPLITS, "counts"):
        (folder / name).mkdir()

    with beam_pipeline.open_pipeline(parameters.beam_args) as pipeline:
        _ = (
            pipeline
            | "Chunks" >> beam.Create(list(enumerate(chunks)), reshuffle=True)
            | "Write" >> beam.ParDo(shards.WriteChunk(str(folder), parameters.chunk_bytes))
        )


def _check_not_empty(totals: Mapping[str, shards.SplitCounts], parameters: Any) -> None:
    for split, counts in totals.items():
        if not counts.blank:
            continue
        reason = f"its {counts.lines} line(s) are blank" if counts.lines else "nothing belongs to it"
        others = ", ".join(f"{other} {totals[other].lines} lines" for other in SPLITS if other != split)
        raise ComponentError(
            f"example_gen.dataset: the {split} split of {parameters.dataset} is empty: {reason} ({others}). "
            "Supply more text, or files with train, valid and test in their names."
        )
