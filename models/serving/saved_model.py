"""An exported model on the disk: its folder in an artifact, its vocabulary, its digest, its versions.

Only `load` needs TensorFlow.
"""

from pathlib import Path
from typing import Any

from models import files

EXPORT = "Format-Serving"  # the SavedModel's folder in a Model artifact
VOCABULARY = Path("assets") / "vocabulary.txt"
CARD = Path("assets.extra") / "model_card.json"  # names the run, so it differs even between equal models
WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"  # the name that TensorFlow Serving looks for


def is_saved_model(folder: Path) -> bool:
    """Whether a folder is itself a SavedModel, not a folder of versions.

    Args:
        folder: The folder, which need not exist.
    """
    return (folder / "saved_model.pb").is_file()


def versions(serving_dir: Path) -> dict[int, Path]:
    """Lists the versions of a model: folders whose name is an integer, as TensorFlow Serving reads them.

    Args:
        serving_dir: The folder of versions.

    Returns:
        Version -> its folder, lowest first; empty if there is no such folder.

    Raises:
        OSError: If the folder cannot be read.
    """
    if not serving_dir.is_dir():
        return {}
    folders = {int(path.name): path for path in serving_dir.iterdir() if path.name.isdecimal() and path.is_dir()}
    return dict(sorted(folders.items()))


def newest(folder: Path) -> Path:
    """Finds the SavedModel that a folder means.

    Args:
        folder: A SavedModel, or a folder with at least one version.

    Returns:
        The folder itself if it is a SavedModel, else its newest version.

    Raises:
        IndexError: If it is neither.
    """
    return folder if is_saved_model(folder) else list(versions(folder).values())[-1]


def digest(saved_model: Path) -> str:
    """Computes the SHA-256 over names and contents of a SavedModel's files, without `assets.extra`.

    Args:
        saved_model: Its folder.

    Returns:
        The digest in hexadecimal digits.

    Raises:
        OSError: If the folder cannot be read.
    """
    names = [path.relative_to(saved_model) for path in sorted(saved_model.rglob("*")) if path.is_file()]
    return files.digest_of(
        (name.as_posix(), bytes.fromhex(files.file_digest(saved_model / name)))
        for name in names
        if name.parts[0] != CARD.parts[0]
    )


def load(saved_model: Path, **options: Any) -> Any:
    """Loads a SavedModel whose graph has tensorflow-text's operations.

    Args:
        saved_model: Its folder.
        **options: Further arguments of `tf.saved_model.load`.

    Returns:
        The loaded object, with its signatures.
    """
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

    return tf.saved_model.load(str(saved_model), **options)


def state_shape(loaded: Any) -> tuple[int, int, int]:
    """Finds the shape of the state of one text.

    Args:
        loaded: What `load` returned.

    Returns:
        (layers, 2, units), the shape of a row of the argument `state` of the signature `step`.
    """
    return tuple(loaded.signatures["step"].structured_input_signature[1]["state"].shape[1:])
