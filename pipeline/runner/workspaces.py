"""Folders of resumable components: each holds the unfinished work for one state of what the work depends on."""

from pathlib import Path

from components.base import Component
from pipeline.root import work_folder
from pipeline.runner import artifact_files

KEPT_WORKSPACES = 3  # workspaces of a component: other settings may be used again, but old work must not fill the disk
FINISHED = "finished"  # file that marks a workspace whose component has finished


def open_workspace(root: Path, component: str, work_key: str, use_cache: bool) -> Path:
    """Prepares a component's workspace, and removes its oldest workspaces of other keys.

    Args:
        root: The pipeline's root.
        component: The component's name.
        work_key: Digest of what the work depends on, except the budget.
        use_cache: Whether finished work may be continued with a larger budget. Unfinished work is always resumed.

    Returns:
        The workspace, which need not exist yet.
    """
    parent = work_folder(root, component)
    parent.mkdir(parents=True, exist_ok=True)
    finished = parent / work_key / FINISHED
    if finished.exists() and not use_cache:
        artifact_files.remove(finished.parent)
    finished.unlink(missing_ok=True)
    others = [folder for folder in parent.iterdir() if folder.name != work_key]
    others.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in others[KEPT_WORKSPACES - 1 :]:
        artifact_files.remove(folder)
    return parent / work_key


def finish_workspace(component: Component, workspace: Path) -> None:
    """Removes a workspace whose work is done. If the component has a budget, keeps it for a larger one.

    Args:
        component: The component.
        workspace: Its workspace.
    """
    if component.BUDGET and workspace.is_dir():
        (workspace / FINISHED).touch()
    else:
        artifact_files.remove(workspace)
