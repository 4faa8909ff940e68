"""Evaluates the exported model, judges it by the gate's rules and writes the results."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.artifacts import blessing, vocabulary
from components.artifacts.document import finite
from components.artifacts.evaluation import EMBEDDING, EVALUATION, PREDICTIONS, Evaluation
from components.artifacts.splits import EVALUATED_SPLITS, split_dir
from components.base import ComponentError, Context
from components.evaluator import baseline, gate, sharded_reading
from components.evaluator.adaptive import evaluation as adaptive
from components.evaluator.component import Evaluator
from components.evaluator.evaluation_split import EvaluationSplit, Read, evaluate, line_cross_entropy
from components.evaluator.exported_model import ExportedModel
from components.evaluator.figures import metrics, samples
from components.evaluator.figures.comparison import Comparison, by_characters, by_perplexity
from components.evaluator.figures.subspace_distance import subspace_distance
from models.serving import saved_model
from models.text.token_stream import TokenStream
from models.text.unigram import count_tokens


def execute(
    inputs: Mapping[str, Path], outputs: Mapping[str, Path], parameters: Evaluator.Parameters, context: Context
) -> dict[str, Any]:
    """Evaluates the exported model on the eval and test splits and decides whether it is blessed.

    Args:
        inputs: `model` (the SavedModel), `transformed_examples` (token ids), `examples` (the text) and `vocabulary`.
        outputs: `evaluation` receives `evaluation.json`, `predictions.json` and, if the model has word vectors,
            `embedding.json`; `blessing` receives the verdict with its reasons.
        parameters: The gate's rules, the modes of adaptive evaluation, the serving folder and Beam's options.
        context: Its workspace holds files between Beam workers, and the baseline's tokens.

    Returns:
        `blessed`, the perplexities of both splits and of the unigram model, bits per character, accuracy, the subspace
        distance, the perplexity of each adaptive mode, and the comparison with the baseline. A figure that is not
        finite is None.

    Raises:
        ComponentError: If an input is damaged, the model has another vocabulary, the baseline cannot be loaded, or a
            rule names a slice that the split does not have.
    """
    read = functools.partial(sharded_reading.windows, beam_args=parameters.beam_args, workspace=context.workspace)
    candidate_path = inputs["model"] / saved_model.EXPORT
    candidate = ExportedModel(candidate_path)
    splits = _read_splits(inputs, len(candidate.words))
    mismatched = sum(split.count_mismatches(candidate) for split in splits.values())
    tallies = evaluate(read, candidate, splits)
    figures = {name: splits[name].figures(tally) for name, tally in tallies.items()}
    pushed = baseline.find(parameters.serving_dir, candidate_path)
    against = _Against() if pushed is None else _compare(pushed, candidate, splits, tallies, parameters, read, context)
    verdicts = gate.judge(parameters, figures, mismatched, against.comparison, against.figures, against.description)
    blessed = all(verdict.verdict == gate.PASSED for verdict in verdicts)
    blessing.write(outputs["blessing"], blessed, gate.reasons(verdicts))
    streams = {name: split.stream for name, split in splits.items()}
    train = TokenStream(split_dir(inputs["transformed_examples"], "train"))
    table, kernel = candidate.embedding(), candidate.output_kernel()
    evaluation: Evaluation = {
        "blessed": blessed,
        "splits": figures,
        "adaptive": adaptive.evaluate(candidate, streams, train, parameters),
        "subspace_distance": None if kernel is None else subspace_distance(kernel, table),
        "baseline": pushed and {**against.comparison.to_json(pushed), "splits": against.figures},
        "rules": [asdict(verdict) for verdict in verdicts],
    }
    EVALUATION.write(outputs["evaluation"], evaluation)
    PREDICTIONS.write(outputs["evaluation"], samples.predictions(candidate, against.model))
    if table is not None:
        words = [word.decode("utf-8", "replace") for word in candidate.words]
        EMBEDDING.write(outputs["evaluation"], samples.embedding(table, words))
    return _main_figures(evaluation)


def _read_splits(inputs: Mapping[str, Path], vocabulary_size: int) -> dict[str, EvaluationSplit]:
    transformed, examples = inputs["transformed_examples"], inputs["examples"]
    words = vocabulary.FIGURES.read(inputs["vocabulary"])["size"]
    if words != vocabulary_size:
        raise ComponentError(
            f"The exported model has {vocabulary_size:,} words, {inputs['vocabulary']} {words:,}: the model was "
            "trained with another vocabulary. Run the Trainer again."
        )
    train_counts = count_tokens(TokenStream(split_dir(transformed, "train")), vocabulary_size)
    return {name: EvaluationSplit(name, transformed, examples, train_counts) for name in EVALUATED_SPLITS}


@dataclass(frozen=True)
class _Against:
    """The baseline: its model, its figures if they are comparable, the comparison, and a description for messages."""

    model: ExportedModel | None = None
    figures: dict[str, dict] = field(default_factory=dict)
    comparison: Comparison | None = None
    description: str = "there is no pushed version other than this model itself"


def _compare(
    pushed: baseline.Baseline,
    candidate: ExportedModel,
    splits: dict[str, EvaluationSplit],
    tallies: dict[str, metrics.Tally],
    parameters: Evaluator.Parameters,
    read: Read,
    context: Context,
) -> _Against:
    try:
        model = ExportedModel(pushed.path)
    except ComponentError as error:
        raise ComponentError(
            f"The newest pushed version is the baseline that a model must not fall behind, and it cannot be read: "
            f"{error}\nRepair {pushed.path}, or remove it to compare with an older version or with none."
        ) from error
    description = f"the pushed version {pushed.version}"
    split = splits["eval"]
    if model.vocabulary == candidate.vocabulary and not split.count_mismatches(model):
        names = {"eval", *(rule.split for rule in parameters.rules if rule.max_change is not None)}
        theirs = evaluate(read, model, {name: splits[name] for name in sorted(names)})
        compared = by_perplexity(
            tallies["eval"].line_cross_entropy, theirs["eval"].line_cross_entropy, split.lines.lengths
        )
        figures = {name: splits[name].figures(tally) for name, tally in theirs.items()}
        return _Against(model, figures, compared, description)
    ours = split.spelled_out(candidate, split.stream, tallies["eval"].line_cross_entropy)
    stream = split.text.write_tokens(model, context.workspace / "baseline")
    theirs = split.spelled_out(model, stream, line_cross_entropy(read, model, stream))
    compared = by_characters(ours, theirs, split.text.characters)
    return _Against(model, {}, compared, f"{description}, which has another vocabulary or tokenizer")


def _main_figures(evaluation: Evaluation) -> dict[str, Any]:
    valid, test = (evaluation["splits"][name] for name in EVALUATED_SPLITS)
    against = evaluation["baseline"]
    figures = {
        "blessed": evaluation["blessed"],
        "valid_perplexity": valid["perplexity"],
        "test_perplexity": test["perplexity"],
        "unigram_valid_perplexity": valid["unigram_perplexity"],
        "unigram_test_perplexity": test["unigram_perplexity"],
        "valid_bits_per_character": valid["bits_per_character"],
        "valid_top_1_accuracy": valid["top_1_accuracy"],
        "subspace_distance": evaluation["subspace_distance"],
        **{f"{mode}_test_perplexity": perplexities["test"] for mode, perplexities in evaluation["adaptive"].items()},
        "against_baseline": against and f"{against['judgement']}, {against['change']:+.2%}",
    }
    return finite(figures)
