"""The corpora that ExampleGen knows, what each needs, and fingerprints of their sources. Imports no TensorFlow."""

import difflib
import fnmatch
import glob
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.base import ComponentError
from components.example_gen import python_library, remote_files, text_encoding
from components.example_gen.folder_listing import check_folder, contents, find_files, list_folder
from models.files import digest_of, file_digest, is_url

_SPLIT_WORDS = {"train": "train", "eval": "valid", "test": "test"}


@dataclass(frozen=True)
class LocalCorpus:
    """A published corpus whose files the user supplies.

    Attributes:
        files: Sets of names of the files of the train, eval and test split; the first complete set is used.
        checksums: Digest (SHA-256, or SHA-1 if no other is published) of each file as published, by name.
        where: Where to get the files, as a phrase for messages.
    """

    files: tuple[Mapping[str, str], ...]
    where: str
    checksums: Mapping[str, str] = field(default_factory=dict)

    def find(self, folder: Path) -> dict[str, Path] | None:
        """Returns the file of each split in `folder`, or at a single place below it; None if no set is complete."""
        for names in self.files:
            by_split = {split: _find_one(folder, name) for split, name in names.items()}
            if all(by_split.values()):
                return by_split
        return None


def _find_one(folder: Path, name: str) -> Path | None:
    if (folder / name).is_file():
        return folder / name
    below = [Path(path) for _, path in list_folder(folder).matching(f"**/{glob.escape(name)}")]
    return below[0] if len(below) == 1 else None


def _wiki_files(ending: str) -> dict[str, str]:
    return {split: f"wiki.{word}.{ending}" for split, word in _SPLIT_WORDS.items()}


# The checksums of the WikiText files are those of GluonNLP's `wiki_text.py`.
LOCAL_CORPORA: Mapping[str, LocalCorpus] = {
    "penn_treebank": LocalCorpus(
        files=({split: f"ptb.{word}.txt" for split, word in _SPLIT_WORDS.items()},),
        where="T. Mikolov's simple-examples.tgz (its data/ folder)",
        checksums={
            "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        },
    ),
    "wikitext2": LocalCorpus(
        files=(_wiki_files("tokens"), _wiki_files("raw")),
        where="wikitext-2-v1.zip (its first address, in research.metamind.io's bucket, no longer answers)",
        checksums={
            "wiki.train.tokens": "863f29c46ef9d167fff4940ec821195882fe29d1",
            "wiki.valid.tokens": "0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422",
            "wiki.test.tokens": "c7b8ce0aa086fb34dab808c5c49224211eb2b172",
            "wiki.train.raw": "d33faf256327882db0edc7c67cd098d1051a2112",
            "wiki.valid.raw": "db78d4db83700cba1b1bf4a9381087043db2876d",
            "wiki.test.raw": "6f1fe2054a940eebfc76b284b09680763b37f5ea",
        },
    ),
    "wikitext103": LocalCorpus(
        files=(_wiki_files("tokens"), _wiki_files("raw")),
        where="wikitext-103-v1.zip (its first address, in research.metamind.io's bucket, no longer answers)",
        checksums={
            "wiki.train.tokens": "b7497e2dfe77e72cfef5e3dbc61b7b53712ac211",
            "wiki.valid.tokens": "c326ac59dc587676d58c422eb8a03e119582f92b",
            "wiki.test.tokens": "8a5befc548865cec54ed4273cf87dbbad60d1e47",
            "wiki.train.raw": "3d06627c15e834408cfee91293f862c11c1cc9ef",
            "wiki.valid.raw": "db78d4db83700cba1b1bf4a9381087043db2876d",
            "wiki.test.raw": "6f1fe2054a940eebfc76b284b09680763b37f5ea",
        },
    ),
}
KNOWN_DATASETS = ("python_docs", *LOCAL_CORPORA, "text_files")


def base_name(dataset: str) -> str:
    """Returns a dataset's name without configuration and version: `wiki40b/en:1.3.0` -> `wiki40b`."""
    return dataset.split("/")[0].split(":")[0]


def check_dataset(dataset: str, data_dir: str | None = None) -> None:
    """Checks that a dataset is known and has text.

    This is fast for this project's own names. A TFDS name takes the import of tensorflow_datasets (about a second, no
    TensorFlow).

    Args:
        dataset: Value of `example_gen.dataset`.
        data_dir: Value of `example_gen.data_dir`. The folder may hold a prepared TFDS copy of that name.

    Raises:
        ComponentError: If the name is unknown (the message suggests the nearest one), the configuration or version does
            not exist, or no feature is text; or if the URL of texts cannot be listed.
    """
    if is_url(data_dir):
        check_folder(str(data_dir).rstrip("/"))
    if dataset in KNOWN_DATASETS:
        return
    if data_dir and (_prepared_folder(dataset, Path(data_dir).expanduser()) is not None):
        return  # its features are checked when it is read, in its own dataset_info.json
    from components.example_gen import tfds_source  # here: importing tensorflow_datasets takes a second

    known = tfds_source.registered_names()
    if base_name(dataset) not in known:
        nearest = difflib.get_close_matches(base_name(dataset), [*KNOWN_DATASETS, *known], n=1, cutoff=0.5)
        suggestion = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ComponentError(
            f"example_gen.dataset: found the unknown name {dataset!r}.{suggestion} Known are "
            f"{', '.join(KNOWN_DATASETS)}, and any dataset of TensorFlow Datasets that has text."
        )
    tfds_source.text_feature(tfds_source.open_builder(dataset, None))


def _prepared_folder(dataset: str, data_dir: Path) -> Path | None:
    """The folder below `data_dir`, or `data_dir` itself, that holds a prepared copy of a TFDS dataset."""
    description = data_dir / "dataset_info.json"
    if description.is_file():
        _check_prepared(description, dataset)
        return data_dir
    folder = data_dir / base_name(dataset)
    return folder if folder.is_dir() and list_folder(folder).matching("**/dataset_info.json") else None


def _check_prepared(description: Path, dataset: str) -> None:
    """Checks that a prepared copy is that dataset, with that configuration and version if they are named."""
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        name, configuration, version = (content.get(key) for key in ("name", "configName", "version"))
    except (OSError, ValueError, AttributeError) as error:
        raise ComponentError(
            f"example_gen.data_dir: {description} cannot be read ({error}). Prepare the dataset again."
        ) from error
    path, _, wanted_version = dataset.partition(":")
    _, _, wanted_configuration = path.partition("/")
    is_wanted = name == base_name(dataset) and fnmatch.fnmatchcase(str(version), wanted_version or "*")
    if not is_wanted or (wanted_configuration and wanted_configuration != configuration):
        held = f"{name}{f'/{configuration}' if configuration else ''}:{version}"
        raise ComponentError(
            f"example_gen.dataset: found {dataset!r}, but example_gen.data_dir, {description.parent}, holds {held}. "
            "Name that one, or another folder."
        )


def fingerprint(parameters: Any) -> dict[str, Any]:
    """Describes the current contents of the corpus's source, as JSON for the cache key.

    Args:
        parameters: ExampleGen's parameters.

    Raises:
        ComponentError: If the source is missing or empty.
    """
    if parameters.dataset == "python_docs":
        library = python_library.library_folder()
        return {"python": platform.python_version(), "library_sha256": python_library.fingerprint(library)}
    if parameters.dataset == "text_files":
        folder = text_folder(parameters)
        files = find_files(folder, parameters.pattern)
        if is_url(folder):  # this process does not read the text
            metadata = remote_files.list_files(str(folder))
            stamps = [(name, *metadata[name]) for _, name in files]
            return {"stamps_sha256": hashlib.sha256(json.dumps(stamps).encode()).hexdigest()}
        return {"files_sha256": _hash_files(files)}
    if parameters.dataset in LOCAL_CORPORA:
        if is_remote(parameters):
            return {"source_sha256": parameters.source_sha256}
        by_split = local_files(parameters.dataset, data_folder(parameters))
        return {"files_sha256": _hash_files((path, path.name) for path in by_split.values())}
    if parameters.data_dir is None:
        return {"tensorflow_datasets": importlib.metadata.version("tensorflow-datasets")}
    folder = prepared_folder(parameters.dataset, data_folder(parameters))
    return {"files_sha256": _hash_files((path, name) for name, path in list_folder(folder).files)}


def local_files(dataset: str, folder: Path) -> dict[str, Path]:
    """Finds the file of each split of a local corpus.

    Args:
        dataset: A key of `LOCAL_CORPORA`.
        folder: The folder that the user named.

    Raises:
        ComponentError: If the folder is missing or empty, does not hold the files, or they are not text.
    """
    check_folder(folder)
    corpus = LOCAL_CORPORA[dataset]
    by_split = corpus.find(folder)
    if by_split is None:
        names = " or ".join(", ".join(files.values()) for files in corpus.files)
        raise ComponentError(
            f"example_gen.data_dir: {dataset} needs the files {names} in {folder}, which holds "
            f"{contents(folder)}. Get them from {corpus.where}."
        )
    for path in by_split.values():
        _check_text(path, corpus)
    return by_split


def _check_text(path: Path, corpus: LocalCorpus) -> None:
    head, _ = text_encoding.read_head(path)
    problem = "holds no text" if not head.strip() else text_encoding.binary(head)
    if problem and not text_encoding.marked(head):
        raise ComponentError(
            f"example_gen.data_dir: {path} {problem}: expected text. Get it again from {corpus.where}."
        )


def prepared_folder(dataset: str, data_dir: Path) -> Path:
    """Finds the folder of a prepared copy of a TFDS dataset.

    Args:
        dataset: The dataset's TFDS name.
        data_dir: The folder that the user named.

    Raises:
        ComponentError: If the folder is missing or empty, or holds no such copy.
    """
    check_folder(data_dir)
    folder = _prepared_folder(dataset, data_dir)
    if folder is None:
        raise ComponentError(
            f"example_gen.data_dir: {data_dir} holds {contents(data_dir)}, but no prepared copy of "
            f"{dataset}: expected {base_name(dataset)}/ with a dataset_info.json below it, as "
            f"`tfds build {dataset} --data_dir=...` writes it."
        )
    return folder


def wrong_checksums(dataset: str, files: Mapping[str, Path]) -> list[str]:
    """Returns the names of the files that differ from the published ones.

    Args:
        dataset: A key of `LOCAL_CORPORA`.
        files: The file of each split.
    """
    published = LOCAL_CORPORA[dataset].checksums
    wrong = []
    for path in files.values():
        expected = published.get(path.name)
        if expected and expected != _hash_file(path, "sha256" if len(expected) == 64 else "sha1"):
            wrong.append(path.name)
    return wrong


def without_source(parameters: Any) -> str | None:
    """Returns a message if a local corpus is asked for and nothing says where its files are.

    Args:
        parameters: ExampleGen's parameters.
    """
    corpus = LOCAL_CORPORA.get(parameters.dataset)
    if corpus is None or parameters.data_dir is not None or parameters.source_url is not None:
        return None
    return (
        f"example_gen.data_dir is not set: {parameters.dataset} cannot be downloaded by itself. Get {corpus.where} and "
        "name the folder of its files with example_gen.data_dir, or set example_gen.source_url and "
        "example_gen.source_sha256 to an archive of them."
    )


def is_remote(parameters: Any) -> bool:
    """Whether a local corpus is to be downloaded from `source_url`. If `data_dir` is set, it is used instead.

    Args:
        parameters: ExampleGen's parameters.

    Raises:
        ComponentError: If neither is set, or `source_url` has no `source_sha256`.
    """
    if parameters.data_dir is not None:
        return False
    if problem := without_source(parameters):
        raise ComponentError(problem)
    if parameters.source_sha256 is None:
        raise ComponentError(
            "example_gen.source_sha256 is not set: give the SHA-256 of the file at example_gen.source_url "
            f"({parameters.source_url})."
        )
    return True


def text_folder(parameters: Any) -> str | Path:
    """Returns the folder of the texts of `text_files`, or its URL."""
    if is_url(parameters.data_dir):
        return parameters.data_dir.rstrip("/")
    return data_folder(parameters)


def data_folder(parameters: Any) -> Path:
    """Returns the absolute path of the folder of a local copy of a corpus.

    Raises:
        ComponentError: If `data_dir` is not set.
    """
    if parameters.data_dir is None:
        raise ComponentError(
            f"example_gen.data_dir is not set: {parameters.dataset} needs the folder that holds its files."
        )
    return Path(parameters.data_dir).expanduser().absolute()  # workers may run in another folder


def _hash_files(named: Iterable[tuple[str | Path, str]]) -> str:
    return digest_of((name, _hash_file(path, "sha256").encode()) for path, name in named)


def _hash_file(path: str | Path, algorithm: str) -> str:
    try:
        return file_digest(path, algorithm)
    except OSError as error:
        raise text_encoding.unreadable(path, error) from error
