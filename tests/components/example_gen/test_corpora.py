"""Names that are known, files that are needed, fingerprints that notice changes."""

import subprocess
import sys

import pytest

from components.base import ComponentError
from components.example_gen import corpora


def test_every_dataset_of_this_project_is_known():
    for dataset in ("python_docs", "penn_treebank", "wikitext2", "wikitext103", "text_files"):
        corpora.check_dataset(dataset)


@pytest.mark.parametrize("dataset", ["lm1b", "wiki40b/en", "ag_news_subset"])
def test_tfds_datasets_with_text_are_known(dataset):
    corpora.check_dataset(dataset)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("penn_treebnak", "found the unknown name 'penn_treebnak'. Did you mean 'penn_treebank'?"),
        ("wiki40c/en", "Did you mean 'wiki40b'?"),
        ("qzxv", "found the unknown name 'qzxv'. Known are python_docs"),
        ("mnist", r"mnist has no text.*image \(Image\), label \(ClassLabel\)"),
        ("wiki40b/elvish", "'wiki40b/elvish' cannot be opened"),
    ],
)
def test_an_unusable_dataset_is_an_error_that_helps(dataset, message):
    with pytest.raises(ComponentError, match=message):
        corpora.check_dataset(dataset)


def test_the_component_and_its_fingerprint_import_no_tensorflow(write_files):
    folder = write_files({"book.txt": b"text\n"})
    program = (
        "import sys\n"
        "from components.example_gen.component import ExampleGen\n"
        f"for parameters in [dict(), dict(dataset='text_files', data_dir={str(folder)!r})]:\n"
        "    assert ExampleGen(ExampleGen.Parameters(**parameters)).external_state({})\n"
        "assert not {'tensorflow', 'apache_beam', 'tensorflow_datasets'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_fingerprint_follows_contents_and_names_not_times(write_files, example_gen):
    folder = write_files({"a.txt": b"a\n", "b.txt": b"b\n"})
    component = example_gen(dataset="text_files", data_dir=str(folder))
    before = component.external_state({})
    (folder / "a.txt").write_bytes(b"a\n")
    assert component.external_state({}) == before
    (folder / "a.txt").rename(folder / "c.txt")
    renamed = component.external_state({})
    (folder / "c.txt").write_bytes(b"c\n")
    assert len({str(state) for state in (before, renamed, component.external_state({}))}) == 3


def test_the_fingerprint_of_python_docs_names_the_python(example_gen):
    state = example_gen().external_state({})
    assert state["python"] == ".".join(map(str, sys.version_info[:3])) and len(state["library_sha256"]) == 64


@pytest.mark.parametrize("dataset", ["penn_treebank", "wikitext2", "wikitext103"])
def test_a_corpus_without_its_files_says_where_to_put_them(dataset, tmp_path, write_files, example_gen):
    def state(**parameters):
        return example_gen(dataset=dataset, **parameters).external_state({})

    with pytest.raises(ComponentError, match="example_gen.data_dir is not set.*example_gen.source_url"):
        state()
    with pytest.raises(ComponentError, match="there is no .*nowhere"):
        state(data_dir=str(tmp_path / "nowhere"))
    with pytest.raises(ComponentError, match=r"needs the files .*train.* which holds book.txt"):
        state(data_dir=str(write_files({"book.txt": b"text\n"})))
    with pytest.raises(ComponentError, match="example_gen.source_sha256 is not set"):
        state(source_url="https://example.org/corpus.zip")
    assert state(source_url="https://example.org/corpus.zip", source_sha256="0" * 64)


def test_files_that_are_not_text_are_refused(write_files, example_gen):
    good = {"ptb.train.txt": b"text\n", "ptb.valid.txt": b"text\n", "ptb.test.txt": b"text\n"}
    for content, message in ((b"", "holds no text"), (b"\0\1\2", "holds NUL bytes")):
        folder = write_files(good | {"ptb.valid.txt": content})
        with pytest.raises(ComponentError, match=f"ptb.valid.txt {message}"):
            example_gen(dataset="penn_treebank", data_dir=str(folder)).external_state({})


def test_files_are_found_in_one_folder_below(write_files):
    names = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
    folder = write_files({f"simple-examples/data/{name}": b"text\n" for name in names})
    files = corpora.local_files("penn_treebank", folder)
    assert [path.name for path in files.values()] == list(names)


def test_the_published_penn_treebank_has_its_checksums(ptb_dir):
    assert corpora.wrong_checksums("penn_treebank", corpora.local_files("penn_treebank", ptb_dir)) == []


def test_text_files_need_a_folder(example_gen):
    with pytest.raises(ComponentError, match="example_gen.data_dir is not set"):
        example_gen(dataset="text_files").external_state({})


def test_a_prepared_copy_of_another_dataset_is_refused_by_name(write_files, example_gen):
    description = b'{"name": "wiki40b", "configName": "en", "version": "1.3.0"}'
    folder = write_files({"dataset_info.json": description, "wiki40b-train.tfrecord-00000-of-00001": b"records"})
    for right in ("wiki40b", "wiki40b/en", "wiki40b/en:1.3.0", "wiki40b:1.*.*"):
        assert example_gen(dataset=right, data_dir=str(folder)).external_state({})
    for wrong in ("lm1b", "no_such_name", "wiki40b/fr", "wiki40b/en:1.2.0"):
        with pytest.raises(ComponentError, match=f"found '{wrong}', but .* holds wiki40b/en:1.3.0"):
            example_gen(dataset=wrong, data_dir=str(folder)).external_state({})
    (folder / "dataset_info.json").write_bytes(b"[")
    with pytest.raises(ComponentError, match=r"dataset_info.json cannot be read"):
        example_gen(dataset="wiki40b", data_dir=str(folder)).external_state({})


def test_a_tfds_name_without_a_prepared_copy_in_its_folder_is_an_error(write_files, example_gen):
    folder = write_files({"other/file": b""})
    with pytest.raises(ComponentError, match="no prepared copy of wiki40b/en: expected wiki40b/"):
        example_gen(dataset="wiki40b/en", data_dir=str(folder)).external_state({})
