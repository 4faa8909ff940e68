"""The files and folders below `pipeline.root`, except the components' outputs."""

from pathlib import Path

METADATA = "metadata.sqlite"


def metadata_file(root: Path) -> Path:
    """Returns the SQLite file that holds the lineage of all runs.

    Args:
        root: `pipeline.root`.
    """
    return root / METADATA


def runs_folder(root: Path) -> Path:
    """Returns the folder that has a folder for each run.

    Args:
        root: `pipeline.root`.
    """
    return root / "runs"


def run_folder(root: Path, run_id: str) -> Path:
    """Returns the folder of one run's report, summary and log.

    Args:
        root: `pipeline.root`.
        run_id: The run's id.
    """
    return runs_folder(root) / run_id


def work_root(root: Path) -> Path:
    """Returns the folder of all unfinished work, which has a folder for each component.

    Args:
        root: `pipeline.root`.
    """
    return root / ".work"


def work_folder(root: Path, component: str) -> Path:
    """Returns the folder of a component's unfinished work.

    Args:
        root: `pipeline.root`.
        component: The component's name.

    Returns:
        A folder with a subfolder for each state of what the work depends on.
    """
    return work_root(root) / component


def temporary_folder(root: Path) -> Path:
    """Returns the folder that replaces the system's temporary folder during a run. The next run empties it.

    Args:
        root: `pipeline.root`.
    """
    return work_root(root) / "tmp"


def staging_folder(root: Path) -> Path:
    """Returns the folder of outputs that are still being written.

    Args:
        root: `pipeline.root`.
    """
    return root / ".staging"
