"""Which versions of a folder are served, and what loading and releasing them leaves in memory."""

import gc
import shutil
import weakref

import pytest

from pipeline.server import versions as versions_module
from pipeline.server.app import Limits, ModelServer
from pipeline.server.served_model import ServedModel
from pipeline.server.versions import Versions
from tests.pipeline.server.serving_folder import export_models, push


@pytest.fixture(autouse=True)
def usual_collection():
    yield
    gc.unfreeze()


class Model:
    def close(self):
        pass


def make_versions(folder, number, damaged):
    """Versions of a folder without TensorFlow, and the list of those that were loaded or tried."""
    tried = []

    def load(path, version):
        del path
        tried.append(version)
        if version in damaged:
            raise OSError("Out of memory")
        return Model()

    return Versions(folder, number, load, "lm"), tried


def add(folder, *numbers):
    for version in numbers:
        (folder / str(version)).mkdir()


def test_a_version_whose_folder_is_removed_gives_way_to_the_newest_that_are_left(tmp_path):
    add(tmp_path, 1, 2, 3)
    versions, tried = make_versions(tmp_path, 2, ())
    versions.refresh()
    assert versions.available() == [3, 2] == tried
    with versions.use(3):
        shutil.rmtree(tmp_path / "3")
        for _ in range(3):
            versions.refresh()
        assert versions.available() == [2, 1] and tried == [3, 2, 1]
        add(tmp_path, 3)  # a request still uses the old one
        versions.refresh()
        assert tried == [3, 2, 1]
    versions.refresh()
    versions.refresh()
    assert versions.available() == [3, 2] and tried == [3, 2, 1, 3]
    shutil.rmtree(tmp_path)
    versions.refresh()
    assert versions.available() == [3, 2]  # nothing else could be served


@pytest.mark.parametrize(("number", "served"), [(1, [2]), (2, [2, 1])])
def test_older_versions_are_served_where_the_newest_ones_are_damaged(tmp_path, number, served):
    add(tmp_path, 1, 2, 3, 4)
    versions, tried = make_versions(tmp_path, number, {3, 4})
    for _ in range(3):
        versions.refresh()
    assert versions.available() == served and tried == [4, 3, *served]


def test_however_many_versions_are_damaged_each_is_tried_once(tmp_path):
    add(tmp_path, *range(1, 31))
    versions, tried = make_versions(tmp_path, 2, {*range(2, 31)})
    for _ in range(3):
        versions.refresh()
    assert versions.available() == [1] and tried == list(range(30, 0, -1))
    for version in range(2, 31):
        shutil.rmtree(tmp_path / str(version))
    versions.refresh()
    assert len(versions.statuses()) == 1 + versions_module.MAX_ENDED


def test_a_version_that_could_not_be_loaded_is_tried_again_after_a_while(tmp_path, monkeypatch):
    add(tmp_path, 1, 2)
    damaged = {2}
    versions, tried = make_versions(tmp_path, 1, damaged)
    versions.refresh()
    damaged.clear()  # as where memory was short
    versions.refresh()
    assert versions.available() == [1] and tried == [2, 1]
    monkeypatch.setattr(versions_module, "RETRY_SECONDS", 0.0)
    versions.refresh()
    assert versions.available() == [2] and tried == [2, 1, 2]


def test_what_is_loaded_is_not_collected_again_and_again_and_a_released_version_is_freed(tmp_path):
    exported, folder, loaded = export_models(tmp_path), tmp_path / "versions", []

    def load(path, version):
        model = ServedModel(path, version)
        model.itself = model  # as its functions do, so that only a collection frees it
        loaded.append(weakref.ref(model))
        return model

    versions = ModelServer("lm", folder, 1, Limits(), load).versions
    push(exported / "first", folder, 1)
    versions.refresh()
    assert versions.available() == [1] and loaded[0]() is not None
    assert gc.get_freeze_count() > 100_000 > len(gc.get_objects())

    push(exported / "second", folder, 2)
    versions.refresh()
    assert versions.available() == [2] and loaded[1]() is not None
    assert loaded[0]() is None, "the released version is still in memory"
    assert gc.get_freeze_count() > 100_000 > len(gc.get_objects())
