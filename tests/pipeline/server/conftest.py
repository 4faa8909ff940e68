"""Fixtures that several tests of the server use."""

import pytest

from tests.pipeline.server.serving_folder import push


@pytest.fixture(scope="module")
def folder(exported_models, tmp_path_factory):
    """A folder of one version that no test changes."""
    folder = tmp_path_factory.mktemp("serving")
    push(exported_models / "first", folder, 1)
    return folder
