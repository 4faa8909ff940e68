"""Contradictions: keys that exclude each other, and files and folders that do not exist."""

from pathlib import Path

from models.training.recipe import OPTIMIZER_OPTIONS
from models.training.schedules import Schedule
from pipeline.config.settings import Settings
from pipeline.tracking import options as tracking_options


def contradictions(settings: Settings) -> list[str]:
    """One message wherever keys contradict each other or name what does not exist."""
    data, model, trainer = settings.example_gen, settings.model, settings.trainer
    problems = []
    if data.dataset == "text_files" and data.data_dir is None:
        problems.append(
            "example_gen.data_dir is not set: example_gen.dataset=text_files needs the folder of the texts."
        )
    if data.data_dir is not None and not Path(data.data_dir).expanduser().is_dir():
        found = "a file" if Path(data.data_dir).expanduser().exists() else "nothing"
        problems.append(f"example_gen.data_dir: found {found} at {data.data_dir!r}, expected an existing folder.")
    if (data.source_url is None) != (data.source_sha256 is None):
        problems.append("example_gen.source_url and example_gen.source_sha256 go together: set both or neither.")
    if trainer.replicas and trainer.batch_size % trainer.replicas:
        problems.append(
            f"trainer.batch_size: found {trainer.batch_size}, expected a multiple of trainer.replicas, "
            f"{trainer.replicas}: each replica takes the same number of lanes."
        )
    if settings.vocabulary.max_size in (1, 2):
        problems.append(
            f"vocabulary.max_size: found {settings.vocabulary.max_size}, expected 3 or more (<unk> and <eos> are "
            "two of them), or 0 for every word."
        )
    if model.tie_embeddings and model.output_bias:
        problems.append("model.output_bias: found true, expected false: a tied output layer has no bias (b = 0).")
    problems += tracking_options.problems(settings.tracking.mlflow_uri)
    return problems + _of_training(model, settings.loss, trainer)


def _of_training(model, loss, trainer) -> list[str]:
    """Where training starts from, how its loss changes, what its optimizer takes."""
    problems = []
    if model.pretrained_embeddings and not Path(model.pretrained_embeddings).expanduser().is_file():
        problems.append(
            f"model.pretrained_embeddings: found no file at {model.pretrained_embeddings!r}, expected word vectors "
            "(GloVe, word2vec or .npy)."
        )
    if trainer.initial_model and not Path(trainer.initial_model).expanduser().is_dir():
        problems.append(
            f"trainer.initial_model: found no folder at {trainer.initial_model!r}, expected a pushed version, such as "
            "output/serving/1."
        )
    elif trainer.initial_model and not (Path(trainer.initial_model).expanduser() / "assets/vocabulary.txt").is_file():
        problems.append(
            f"trainer.initial_model: found no model in {trainer.initial_model!r} (assets/vocabulary.txt is missing), "
            "expected a pushed version, such as output/serving/1."
        )
    if model.pretrained_embeddings and trainer.initial_model:
        problems.append("model.pretrained_embeddings and trainer.initial_model both decide the embedding: set one.")
    if loss.gradient_through_target and loss.target != "current":
        problems.append(
            f"loss.target: found {loss.target!r}, expected 'current': a copy of the embedding has no gradient for "
            "loss.gradient_through_target."
        )
    for name in sorted({name for names in OPTIMIZER_OPTIONS.values() for name in names}):
        value, allowed = getattr(trainer, name), OPTIMIZER_OPTIONS[trainer.optimizer]
        if value is not None and name not in allowed:
            owners = " or ".join(owner for owner, names in OPTIMIZER_OPTIONS.items() if name in names)
            problems.append(
                f"trainer.{name}: found {value!r}, expected null: trainer.optimizer {trainer.optimizer} has no {name} "
                f"({owners} has)."
            )
    for name in ("temperature", "gamma"):
        section = getattr(loss, f"{name}_schedule")
        try:
            if section and name == "temperature" and not section.start:
                raise ValueError("Found start 0, expected a temperature above 0.")
            if section:
                Schedule(end=getattr(loss, name), **section.model_dump())
        except ValueError as error:
            problems.append(f"loss.{name}_schedule: {error}")
    return problems
