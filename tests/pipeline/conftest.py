"""Fixtures that several tests of serving use: exporting a model takes seconds."""

import shutil

import pytest

from tests.pipeline.exporting.exports import train_and_push
from tests.pipeline.server.serving_folder import export_models


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory):
    """A folder of two exported models: `first` and `second`."""
    return export_models(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def versions(exported_models, tmp_path):
    """A test's own folder of versions, with version 1."""
    shutil.copytree(exported_models / "first", tmp_path / "versions" / "1")
    return tmp_path / "versions"


@pytest.fixture(scope="session")
def pushed_root(tmp_path_factory):
    """A root in which a tiny model was trained and pushed."""
    root = tmp_path_factory.mktemp("root")
    train_and_push(tmp_path_factory.mktemp("texts"), root)
    return root
