"""Measures what the Trainer does in its process, for the small network on the Penn Treebank; prints JSON.

    python -m benchmarks.trainer_process epoch|evaluation|memory --root DIR [--steps N]

The pipeline must have run in the root, up to Transform. N steps cut the train split short; 0 takes all of it.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from components.artifacts.splits import split_dir
from components.base import Context
from components.quiet_import import import_quietly
from components.trainer.component import Trainer
from pipeline import config
from pipeline.pipeline import create_pipeline


def inputs(root: Path) -> dict[str, Path]:
    """Finds the Trainer's inputs.

    Args:
        root: A pipeline's root with one execution of each component.

    Returns:
        Input key -> folder.
    """
    keys = {"vocabulary": "VocabularyGen", "transformed_examples": "Transform"}
    return {key: next((root / component / key).iterdir()) for key, component in keys.items()}


def trainer_parameters(epochs: int = 1) -> Trainer.Parameters:
    """Returns the Trainer's parameters for the Penn Treebank with no other setting: the small preset, REAL.

    Args:
        epochs: Epochs to train. Default 1.
    """
    settings = ["example_gen.dataset=penn_treebank", f"trainer.epochs={epochs}"]
    components = create_pipeline(config.load(None, settings).settings)
    return next(component.parameters for component in components if isinstance(component, Trainer))


def cut(tokens: Path, folder: Path, count: int) -> Path:
    """Copies Transform's output, with a train split that ends after `count` tokens.

    Args:
        tokens: Transform's output.
        folder: The copy.
        count: Tokens of the new train split.

    Returns:
        The copy's folder.
    """
    from models.text.token_stream import TokenStream, TokenWriter, write_index

    source, train = split_dir(tokens, "train"), split_dir(folder, "train")
    shutil.copytree(tokens, folder, ignore=shutil.ignore_patterns(source.name))
    train.mkdir()
    with TokenWriter(train / "tokens-00000-of-00001") as writer:
        writer.write(TokenStream(source)[:count])
    write_index(train, [(writer.path.name, writer.counts)])
    return folder


def train(root: Path, steps: int) -> dict:
    """Trains an epoch as the Trainer does, with its progress bar, and exports the model.

    Args:
        root: The pipeline's root.
        steps: Steps of the epoch; 0 for the whole train split.

    Returns:
        The Trainer's figures.
    """
    from components.trainer.training_process import train_and_export

    parameters = trainer_parameters()
    with tempfile.TemporaryDirectory() as folder:
        folders = inputs(root)
        if steps:
            count = steps * parameters.batch_size * parameters.sequence_length
            folders["transformed_examples"] = cut(folders["transformed_examples"], Path(folder) / "tokens", count)
        outputs = {key: Path(folder) / key for key in (*Trainer.OUTPUTS, "workspace")}
        for output in outputs.values():
            output.mkdir()
        context = Context(run_id="benchmark", workspace=outputs.pop("workspace"), progress=True)
        return train_and_export(folders, outputs, parameters, context)


def epoch(root: Path, steps: int) -> dict:
    """Measures the epoch in turn with its bare compiled step; see `benchmarks.loop_overhead`.

    Args:
        root: The pipeline's root.
        steps: Steps of the epoch; 0 for the whole train split.

    Returns:
        What `benchmarks.loop_overhead.measure` returns.
    """
    from benchmarks import loop_overhead

    return loop_overhead.measure(lambda: train(root, steps))


def memory(root: Path, steps: int) -> dict:
    """Measures the peak memory of training, validation and export.

    Args:
        root: The pipeline's root.
        steps: Steps of the epoch; 0 for the whole train split.

    Returns:
        `peak_bytes`.
    """
    train(root, steps)
    lines = Path("/proc/self/status").read_text().splitlines()
    return {"peak_bytes": 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))}


def evaluation(root: Path, steps: int) -> dict:
    """Times the exact perplexity of the test split, in one lane, as training validates.

    Args:
        root: The pipeline's root.
        steps: Ignored.

    Returns:
        `first` and `again`, seconds of the first and the second evaluation, and `tokens`.
    """
    del steps
    from models.text.token_stream import TokenStream
    from models.text.tokenizer import Tokenizer
    from models.training.devices import make_strategy
    from models.training.resumable import evaluation_windows
    from models.training.setup import make_model

    folders, parameters = inputs(root), trainer_parameters()
    strategy = make_strategy(None, parameters.batch_size)
    model, _ = make_model(parameters, Tokenizer.load(folders["vocabulary"]), strategy)
    stream = TokenStream(split_dir(folders["transformed_examples"], "test"))
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        model.evaluate(evaluation_windows(stream), verbose=0)
        seconds.append(time.perf_counter() - started)
    return {"first": seconds[0], "again": seconds[1], "tokens": len(stream)}


PARTS = {"epoch": epoch, "evaluation": evaluation, "memory": memory}


def main() -> None:
    """Measures one part and prints its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import_quietly("tensorflow")  # as the Trainer's process does first
    print(json.dumps(PARTS[options.part](options.root, options.steps)))


if __name__ == "__main__":
    main()
