"""What loading and releasing versions leaves in memory."""

import gc
import weakref

import pytest

from pipeline.server.app import Limits, ModelServer
from pipeline.server.served_model import ServedModel
from tests.pipeline.server.serving_folder import export_models, push


@pytest.fixture(autouse=True)
def usual_collection():
    yield
    gc.unfreeze()


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
