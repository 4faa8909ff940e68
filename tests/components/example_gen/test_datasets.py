"""TFDS's own test case for each of the project's builders, offline."""

from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from components.example_gen import python_library
from components.example_gen.datasets.penn_treebank import penn_treebank_dataset_builder
from components.example_gen.datasets.python_docs import python_docs_dataset_builder
from components.example_gen.datasets.wikitext2 import wikitext2_dataset_builder
from components.example_gen.datasets.wikitext103 import wikitext103_dataset_builder

DUMMY_LIBRARY = Path(python_docs_dataset_builder.__file__).parent / "dummy_data"
BUILDERS = [
    module.Builder
    for module in (
        penn_treebank_dataset_builder,
        python_docs_dataset_builder,
        wikitext2_dataset_builder,
        wikitext103_dataset_builder,
    )
]


class PythonDocsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = python_docs_dataset_builder.Builder
    SPLITS = {"train": 3, "validation": 1, "test": 1}

    def setUp(self):
        self.enterContext(pytest.MonkeyPatch.context()).setattr(self.DATASET_CLASS, "LIBRARY", DUMMY_LIBRARY)
        super().setUp()


class PennTreebankTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = penn_treebank_dataset_builder.Builder
    SPLITS = {"train": 1, "validation": 1, "test": 1}


class WikiText2Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = wikitext2_dataset_builder.Builder
    SPLITS = {"train": 4, "validation": 2, "test": 2}


class WikiText103Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = wikitext103_dataset_builder.Builder
    SPLITS = {"train": 4, "validation": 2, "test": 2}


@pytest.mark.parametrize("builder_class", BUILDERS, ids=lambda builder_class: builder_class.name)
def test_every_builder_tells_what_it_is(builder_class, tmp_path):
    info = builder_class(data_dir=tmp_path).info
    assert len(info.description) > 100 and info.citation.startswith("@") and info.homepage.startswith("https://")
    assert info.disable_shuffling


def test_python_docs_are_topics_and_docstrings_in_the_order_of_the_source():
    documents = dict(python_library.documents(DUMMY_LIBRARY))
    assert list(documents) == ["topics/if", "topics/while", "counting.py", "greeting.py", "shapes/__init__.py"]
    assert documents["shapes/__init__.py"] == (
        "Shapes in the plane.\n\nAll lengths are in metres.\n\nA square.\n\nIts area in square metres.\n"
    )
    assert documents["greeting.py"] == "Greeting people: è, 漢字.\n"


def test_a_line_that_an_earlier_document_has_is_left_out(tmp_path):
    (tmp_path / "a.py").write_text('"""One.\n\nSame line.\n\n    Same line.\n"""\n')
    (tmp_path / "b.py").write_text('"""Same line."""\n')
    (tmp_path / "c.py").write_text('"""Other.\n\nSame line.\nMore.\n"""\n')
    assert dict(python_library.documents(tmp_path)) == {
        "a.py": "One.\n\nSame line.\n\n    Same line.\n",
        "c.py": "Other.\n\nMore.\n",
    }


def test_no_module_of_the_library_is_run(tmp_path):
    (tmp_path / "bomb.py").write_text('"""Harmless text."""\nraise SystemExit("imported")\n')
    (tmp_path / "broken.py").write_text("def broken(:\n")
    assert dict(python_library.documents(tmp_path)) == {"bomb.py": "Harmless text.\n"}
