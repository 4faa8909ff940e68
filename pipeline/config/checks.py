"""Contradictions between sections, and what a run needs that does not exist."""

from pathlib import Path

from models.files import is_url
from models.serving import saved_model
from pipeline.config import tracking_options
from pipeline.config.settings import Settings


def contradictions(settings: Settings) -> list[str]:
    """Returns a message for each contradiction between sections.

    Args:
        settings: The resolved settings, each section valid by itself.
    """
    data, model, trainer = settings.example_gen, settings.model, settings.trainer
    problems = []
    if is_url(data.data_dir) and data.dataset != "text_files":
        problems.append(
            f"example_gen.data_dir: found the URL {data.data_dir!r}, expected a local folder: only "
            "example_gen.dataset=text_files is read from a URL."
        )
    if model.pretrained_embeddings and trainer.initial_model:
        problems.append("model.pretrained_embeddings and trainer.initial_model both decide the embedding: set one.")
    if settings.tuner.enabled and trainer.strategy == "multi_worker_mirrored":
        problems.append(
            "tuner.enabled (--tune): found true, expected false with trainer.strategy multi_worker_mirrored. Search "
            "with mirrored first (docs/tuning.md has the search by several workers), then train with what it found."
        )
    return problems + tracking_options.problems(settings.tracking.mlflow_uri)


def missing(settings: Settings) -> list[str]:
    """Returns a message for each file, folder or package that a run needs and that does not exist.

    What shows, serves, scores or rolls back a model needs none of them.

    Args:
        settings: The resolved settings.
    """
    data, model, trainer = settings.example_gen, settings.model, settings.trainer
    problems = []
    if data.dataset == "text_files" and data.data_dir is None:
        problems.append(
            "example_gen.data_dir is not set: example_gen.dataset=text_files needs the folder of the texts."
        )
    if data.data_dir is not None and not is_url(data.data_dir) and not Path(data.data_dir).expanduser().is_dir():
        found = "a file" if Path(data.data_dir).expanduser().exists() else "nothing"
        problems.append(f"example_gen.data_dir: found {found} at {data.data_dir!r}, expected an existing folder.")
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
    elif trainer.initial_model and not Path(trainer.initial_model, saved_model.VOCABULARY).expanduser().is_file():
        problems.append(
            f"trainer.initial_model: found no model in {trainer.initial_model!r} ({saved_model.VOCABULARY} is "
            "missing), expected a pushed version, such as output/serving/1."
        )
    return problems + tracking_options.missing(settings.tracking.mlflow_uri)
