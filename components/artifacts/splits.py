"""The splits of a corpus, and where an artifact keeps each."""

from pathlib import Path

SPLITS = ("train", "eval", "test")


def split_dir(artifact: Path, split: str) -> Path:
    """The folder of a split: `<artifact>/Split-<split>`, as TFX has it."""
    return artifact / f"Split-{split}"
