"""Where things lie below `pipeline.root`, outputs of components apart."""

from pathlib import Path

METADATA = "metadata.sqlite"


def metadata_file(root: Path) -> Path:
    """The lineage of all runs."""
    return root / METADATA


def run_folder(root: Path, run_id: str) -> Path:
    """What a run leaves: its report, summary and log."""
    return root / "runs" / run_id


def work_folder(root: Path, component: str) -> Path:
    """A component's unfinished work, a folder for each state of what it depends on."""
    return root / ".work" / component


def temporary_folder(root: Path) -> Path:
    """What the system's temporary folder is elsewhere; emptied by the next run."""
    return root / ".work" / "tmp"


def staging_folder(root: Path) -> Path:
    """Outputs that are being written."""
    return root / ".staging"
