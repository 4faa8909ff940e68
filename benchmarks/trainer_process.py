"""What the Trainer does in its process, for the small network on the Penn Treebank, measured; prints JSON.

    python -m benchmarks.trainer_process epoch|evaluation|memory --root DIR [--steps N]

The root is one that the pipeline ran in, to Transform. Steps cut the train split short; 0 takes all of it.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from components.base import Context
from components.quiet_import import import_quietly
from components.trainer.component import Trainer
from pipeline import config
from pipeline.pipeline import create_pipeline

TEST_SPLIT = "Split-test"


def inputs(root: Path) -> dict[str, Path]:
    """The Trainer's inputs below a root that has one execution of each component."""
    keys = {"vocabulary": "VocabularyGen", "transformed_examples": "Transform"}
    return {key: next((root / component / key).iterdir()) for key, component in keys.items()}


def trainer_parameters(epochs: int = 1) -> Trainer.Parameters:
    """Those of a run on the Penn Treebank with nothing else set: the small preset, REAL."""
    settings = ["example_gen.dataset=penn_treebank", f"trainer.epochs={epochs}"]
    components = create_pipeline(config.load(None, settings).settings)
    return next(component.parameters for component in components if isinstance(component, Trainer))


def cut(tokens: Path, folder: Path, count: int) -> Path:
    """A copy of Transform's output whose train split ends after `count` tokens."""
    from models.text.token_stream import TokenStream, TokenWriter, write_index

    shutil.copytree(tokens, folder, ignore=shutil.ignore_patterns("Split-train"))
    (folder / "Split-train").mkdir()
    with TokenWriter(folder / "Split-train" / "tokens-00000-of-00001") as writer:
        writer.write(TokenStream(tokens / "Split-train")[:count])
    write_index(folder / "Split-train", [(writer.path.name, writer.counts)])
    return folder


def train(root: Path, steps: int) -> dict:
    """Trains an epoch as the Trainer does, progress bar included, and exports; returns the Trainer's figures."""
    from components.trainer.training_process import train_and_export

    parameters = trainer_parameters()
    with tempfile.TemporaryDirectory() as folder:
        found = inputs(root)
        if steps:
            count = steps * parameters.batch_size * parameters.sequence_length
            found["transformed_examples"] = cut(found["transformed_examples"], Path(folder) / "tokens", count)
        outputs = {key: Path(folder) / key for key in (*Trainer.OUTPUTS, "workspace")}
        for output in outputs.values():
            output.mkdir()
        context = Context(run_id="benchmark", workspace=outputs.pop("workspace"), progress=True)
        return train_and_export(found, outputs, parameters, context)


def epoch(root: Path, steps: int) -> dict:
    """The epoch in turn with its bare compiled step; see `benchmarks.loop_overhead`."""
    from benchmarks import loop_overhead

    return loop_overhead.measure(lambda: train(root, steps))


def memory(root: Path, steps: int) -> dict:
    """The most memory that training, validation and export held."""
    train(root, steps)
    lines = Path("/proc/self/status").read_text().splitlines()
    return {"peak_bytes": 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))}


def evaluation(root: Path, steps: int) -> dict:
    """The exact perplexity of the test split, in one lane, as training validates."""
    del steps
    from models.text.token_stream import TokenStream
    from models.text.tokenizer import Tokenizer
    from models.training.devices import make_strategy
    from models.training.resumable import evaluation_windows
    from models.training.setup import make_model

    found, parameters = inputs(root), trainer_parameters()
    strategy = make_strategy(None, parameters.batch_size)
    model, _ = make_model(parameters.model_dump(), Tokenizer.load(found["vocabulary"]), strategy)
    stream = TokenStream(found["transformed_examples"] / TEST_SPLIT)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        model.evaluate(evaluation_windows(stream), verbose=0)
        seconds.append(time.perf_counter() - started)
    return {"first": seconds[0], "again": seconds[1], "tokens": len(stream)}


PARTS = {"epoch": epoch, "evaluation": evaluation, "memory": memory}


def main() -> None:
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
