"""Checks where training starts from and how its loss changes, across keys."""

from pathlib import Path

from models.recipe import OPTIMIZER_OPTIONS
from models.schedules import Schedule


def problems(model, loss, trainer) -> list[str]:
    """One message for each contradiction among the keys of the sections `model`, `loss` and `trainer`."""
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
