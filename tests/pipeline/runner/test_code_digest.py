"""The digest of a component's own code: what it follows and what leaves it alone."""

import importlib
import sys

import pytest

from pipeline.runner.code_digest import code_digest

FILES = {
    "components/__init__.py": "",
    "components/base.py": "class Component: pass",
    "components/thing/component.py": "from components import base\nclass Thing(base.Component): pass",
    "components/thing/executor.py": "def execute():\n    from models.deep import nested\n    from . import helper",
    "components/thing/helper.py": "import json",
    "components/other/component.py": "",
    "models/deep/nested.py": "import models.leaf as leaf",
    "models/leaf.py": "from .sibling import value",
    "models/sibling.py": "value = 1",
    "models/unused.py": "",
    "pipeline/runner.py": "",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one component, `thing_project.*`, so that it cannot be taken for this one."""
    for name, source in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    for name in [name for name in sys.modules if name.split(".")[0] in ("components", "models")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    thing = importlib.import_module("components.thing.component").Thing
    yield tmp_path, thing
    for name in [name for name in sys.modules if name.split(".")[0] in ("components", "models")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "changed",
    [
        "components/base.py",
        "components/thing/component.py",
        "components/thing/executor.py",
        "components/thing/helper.py",
        "models/deep/nested.py",
        "models/leaf.py",
        "models/sibling.py",
    ],
)
def test_a_change_in_what_the_component_imports_changes_it(project, changed):
    folder, thing = project
    before = code_digest(thing)
    (folder / changed).write_text(FILES[changed] + "\n# edited")
    assert code_digest(thing) != before


@pytest.mark.parametrize("changed", ["components/other/component.py", "models/unused.py", "pipeline/runner.py"])
def test_a_change_elsewhere_does_not(project, changed):
    folder, thing = project
    before = code_digest(thing)
    (folder / changed).write_text(FILES[changed] + "\n# edited")
    assert code_digest(thing) == before


def test_a_new_file_in_the_components_folder_changes_it(project):
    folder, thing = project
    before = code_digest(thing)
    (folder / "components/thing/more.py").write_text("")
    assert code_digest(thing) != before
