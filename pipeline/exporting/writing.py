"""Writes a pushed model's files in the Hub's layout or for devices, with their measured perplexities and a card."""

import errno
import sys
from pathlib import Path

from components.artifacts.splits import EVALUATED_SPLITS, split_dir
from components.evaluator.adaptive.trained_model import rebuild
from components.evaluator.evaluation_split import line_cross_entropy
from components.evaluator.exported_model import ExportedModel
from components.evaluator.figures import bootstrap
from components.evaluator.figures.slices import LineIndex
from components.quiet_import import silence
from models import files
from models.perplexity import perplexity
from models.serving import hub_export, litert_export, saved_model
from models.settings import TokenizerSettings
from models.text.token_stream import TokenStream
from models.text.tokenizer import Tokenizer
from pipeline.errors import Refused, RunnerError
from pipeline.exporting import model_card
from pipeline.exporting.pushed_model import PushedModel

OPTIONS = ("dropout", "init_scale", "augmented", "seed")  # keys of the recipe
AUGMENTED = ("temperature", "gamma", "gradient_through_target")
LATER_OPTIONS = (  # keys that the recipes of models pushed by older versions lack
    *("input_dropout", "output_dropout", "embedding_dropout", "weight_dropout"),
    *("activation_regularization", "temporal_activation_regularization"),
)
TFLITE_FILE = "model.tflite"


def write_hub(pushed: PushedModel, folder: Path) -> None:
    """Writes a model in the Hub's layout.

    Args:
        pushed: The pushed version.
        folder: An existing empty folder.

    Raises:
        RunnerError: If the splits' tokens do not belong to this model.
        ComponentError: If the SavedModel cannot be loaded.
    """
    exported = ExportedModel(pushed.path)
    recipe = pushed.card["recipe"]
    options = {name: recipe[name] for name in (OPTIONS + AUGMENTED if recipe["augmented"] else OPTIONS)}
    options |= {name: recipe[name] for name in LATER_OPTIONS if name in recipe}
    model = rebuild(exported, **options, precision="float32")
    hub_export.write(model, _tokenizer(pushed), pushed.path / saved_model.VOCABULARY, folder)
    figures = _measure(exported, _streams(pushed, len(exported.words)))
    card = model_card.hub(pushed, model, figures)
    (folder / "README.md").write_text(card, encoding="utf-8")


def write_litert(pushed: PushedModel, folder: Path, quantize: str | None, max_regression: float) -> None:
    """Writes a model for devices, and measures its perplexities through the LiteRT interpreter.

    Args:
        pushed: The pushed version.
        folder: An existing empty folder.
        quantize: "int8", "float16" or None for float32.
        max_regression: Largest allowed relative rise of either split's perplexity over the pushed model's.

    Raises:
        Refused: If a perplexity rises more than that.
        RunnerError: If there are no splits to measure on, or they do not belong to this model.
        ComponentError: If the SavedModel cannot be loaded.
    """
    exported = ExportedModel(pushed.path)
    streams = _streams(pushed, len(exported.words))
    if not streams:
        raise RunnerError(
            f"The splits that version {pushed.version} was judged on were not found: pipeline.root has no lineage of "
            "it, or Transform's output was removed. Name the right pipeline.root, or the folder with --tokens DIR."
        )
    model = rebuild(exported)
    with silence():
        (folder / TFLITE_FILE).write_bytes(litert_export.convert(model, quantize))
        device = litert_export.DeviceModel(folder / TFLITE_FILE)
    hub_export.write_tokenizer(_tokenizer(pushed), pushed.path / saved_model.VOCABULARY, folder)
    figures = _measure(exported, streams)
    for split, stream in streams.items():
        print(f"Measuring the {split} split, {len(stream):,} words one by one ...", file=sys.stderr)
        on_device = device.perplexity(stream)
        figures[split] |= {"on_device": on_device, "change": on_device / figures[split]["perplexity"] - 1}
    quantized = quantize or "float32"
    for split, measured in figures.items():
        if not measured["change"] <= max_regression:
            raise Refused(
                f"Refused, nothing was written: as {quantized} for devices the {split} perplexity is "
                f"{measured['on_device']:.4f}, the pushed version's {measured['perplexity']:.4f}: "
                f"{measured['change']:+.3%}, more than evaluator.max_regression allows, {max_regression:+.3%}. Use "
                "another --quantize, or none."
            )
    card = model_card.litert(pushed, model, figures, quantized)
    (folder / "README.md").write_text(card, encoding="utf-8")


def put_in_place(folder: Path, target: Path, output: Path, pushed: PushedModel, what: str) -> None:
    """Renames a finished folder and prints what is in it.

    Args:
        folder: The finished folder.
        target: Its new path, absolute.
        output: The new path as the person wrote it, for messages.
        pushed: The pushed version.
        what: Text for what was written, such as "in the Hub's layout".

    Raises:
        RunnerError: If something else was written to the new path meanwhile.
    """
    listed = [f"  {path.name:<24}{path.stat().st_size:>14,} bytes" for path in sorted(folder.iterdir())]
    try:
        files.move_into_place(folder, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise RunnerError(
            f"--output {output} is no longer empty; nothing in it was changed. Name a new or an empty folder."
        ) from error
    print("\n".join([f"{pushed.path} was written to {output} {what}:", *listed]))


def _tokenizer(pushed: PushedModel) -> Tokenizer:
    settings = {name: pushed.card["vocabulary"][name] for name in TokenizerSettings.model_fields}
    return Tokenizer(**settings, vocabulary_file=pushed.path / saved_model.VOCABULARY)


def _streams(pushed: PushedModel, vocabulary_size: int) -> dict[str, TokenStream]:
    """Returns the splits to measure on; empty if they are not known."""
    if pushed.tokens is None:
        return {}
    try:
        streams = {split: TokenStream(split_dir(pushed.tokens, split)) for split in EVALUATED_SPLITS}
    except ValueError as error:
        raise RunnerError(f"{error} Or name another folder with --tokens DIR.") from error
    for split, stream in streams.items():
        blocks = range(0, len(stream), litert_export.BLOCK)
        largest = max((int(stream[start : start + litert_export.BLOCK].max()) for start in blocks), default=None)
        if largest is None or largest >= vocabulary_size:
            found = "no tokens" if largest is None else f"the id {largest}"
            raise RunnerError(
                f"{stream.split_dir}: the {split} split has {found}, the model {vocabulary_size:,} words: they do not "
                "belong together. Name another folder with --tokens DIR."
            )
    return streams


def _measure(exported: ExportedModel, streams: dict[str, TokenStream]) -> dict[str, dict[str, float]]:
    """Returns the pushed model's perplexity on each split, with its 95% interval over lines."""
    figures = {}
    for split, stream in streams.items():
        nats = line_cross_entropy(lambda model, rows: model.windows(rows), exported, stream)
        lengths = LineIndex(stream).lengths.astype(float)
        figures[split] = {"tokens": len(stream), "perplexity": perplexity(nats.sum() / lengths.sum())}
        if len(lengths) > 1:
            low, high = map(perplexity, bootstrap.interval(nats, lengths))
            figures[split] |= {"low": low, "high": high}
    return figures
