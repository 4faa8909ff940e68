"""Fingerprints of files that training reads outside its inputs: word vectors, and the model that it starts from."""

from pathlib import Path

from components.base import ComponentError
from models import files
from models.serving import saved_model


def fingerprint(pretrained_embeddings: str | None, initial_model: str | None) -> dict[str, str]:
    """Computes the SHA-256 of each source that is set, by configuration key, for the cache key.

    Args:
        pretrained_embeddings: File of word vectors, or None. For an `.npy` file, its word list is hashed, too.
        initial_model: Folder of a pushed version, or None. Its weights and its vocabulary are hashed.

    Raises:
        ComponentError: If a file is missing or cannot be read.
    """
    digests = {}
    if pretrained_embeddings is not None:
        vectors = Path(pretrained_embeddings).expanduser()
        sources = [vectors, vectors.with_suffix(".txt")] if vectors.suffix == ".npy" else [vectors]
        digests["model.pretrained_embeddings"] = _digest(
            "model.pretrained_embeddings", sources, "a file of word vectors"
        )
    if initial_model is not None:
        folder = Path(initial_model).expanduser()
        sources = [folder / saved_model.VOCABULARY, *sorted((folder / "variables").glob("*"))]
        digests["trainer.initial_model"] = _digest(
            "trainer.initial_model", sources, "one pushed version, such as output/serving/3"
        )
    return digests


def _digest(key: str, sources: list[Path], expected: str) -> str:
    contents = []
    for path in sources:
        try:
            contents.append((path.name, bytes.fromhex(files.file_digest(path))))
        except OSError as error:
            raise ComponentError(f"{key}: {path} cannot be read ({error.strerror}); expected {expected}.") from error
    return files.digest_of(contents)
