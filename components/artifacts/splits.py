"""The splits of a corpus, and the folder of each in an artifact."""

from pathlib import Path

SPLITS = ("train", "eval", "test")
EVALUATED_SPLITS = SPLITS[1:]  # those that the Evaluator measures a model on


def split_dir(artifact: Path, split: str) -> Path:
    """Returns the folder of a split, `<artifact>/Split-<split>`, as in TFX.

    Args:
        artifact: The artifact's folder.
        split: The split's name, one of `SPLITS`.
    """
    return artifact / f"Split-{split}"
