"""Trains a grid of settings on tokens that Transform wrote, each in a process of its own, resumable."""

import argparse
import dataclasses
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row of a table: how it differs from the small network on the Penn Treebank.

    Attributes:
        name: Names the row and its result file.
        model: Arguments of `LanguageModel`, besides the vocabulary's size.
        recipe: Fields of `Recipe`; `temperature` and `gamma` may be given as the fields of a `Schedule`.
    """

    name: str
    model: dict = dataclasses.field(default_factory=dict)
    recipe: dict = dataclasses.field(default_factory=dict)


def arguments(description: str) -> argparse.ArgumentParser:
    """The command line that the experiments share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tokens", type=Path, help="a `transformed_examples` folder that Transform wrote")
    parser.add_argument("--output", type=Path, required=True, help="folder for a JSON file a setting")
    parser.add_argument("--only", nargs="*", help="names of settings (default: all)")
    parser.add_argument("--processes", type=int, default=1, help="settings trained at the same time (default 1)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each process (default 2)")
    return parser


def run(settings: list[Setting], options: argparse.Namespace) -> None:
    """Trains the settings that are not finished in `options.output` yet, going on from their checkpoints."""
    options.output.mkdir(parents=True, exist_ok=True)
    chosen = [s for s in settings if not options.only or s.name in options.only]
    with ProcessPoolExecutor(options.processes, get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [pool.submit(train, s, options.tokens, options.output, options.threads) for s in chosen]
        for job in jobs:
            job.result()


def train(setting: Setting, tokens: Path, output: Path, threads: int) -> None:
    """Trains one setting; `<output>/<name>.json` is rewritten after every epoch."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    from models.devices import make_strategy
    from models.evaluation import perplexity
    from models.language_model import LanguageModel
    from models.recipe import Recipe
    from models.schedules import Schedule
    from models.token_stream import TokenStream
    from models.training import Training

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    splits = {s: TokenStream(tokens / f"Split-{s}") for s in ("train", "eval", "test")}
    size = 1 + max(int(stream[0 : len(stream)].max()) for stream in splits.values())
    schedules = {k: Schedule(**v) for k, v in setting.recipe.items() if isinstance(v, dict)}
    recipe = Recipe(**setting.recipe | schedules)
    strategy = make_strategy(1, recipe.batch_size)
    config = {"units": 200, "dropout": 0.3} | setting.model
    keras.utils.set_random_seed(config.get("seed", 1))
    with strategy.scope():
        model = LanguageModel(size, **config)
    result = output / f"{setting.name}.json"
    described = {"name": setting.name, "model": config, "recipe": dataclasses.asdict(recipe)}

    def save(history, **more):
        temporary = result.with_suffix(".tmp")
        temporary.write_text(json.dumps({**described, "epochs": history, **more}, indent=1) + "\n")
        temporary.replace(result)

    training = Training(
        model, strategy, splits["train"], splits["eval"], recipe, output / ".checkpoints" / setting.name
    )
    training.on_epoch = lambda record: save(training.history)
    if len(training.history) < recipe.epochs:
        history = training.run()
        save(history, test_perplexity=perplexity(model, splits["test"]))
