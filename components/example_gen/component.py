"""ExampleGen: text in order, from a folder, from this Python or from TensorFlow Datasets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pydantic

from components import base
from components.example_gen import corpora


class ExampleGen(base.Component):
    """Writes the corpus's splits as ordered shards of `tf.train.Example` {document, position, text}.

    Outputs:
        examples: `Split-train/`, `Split-eval/` and `Split-test/` with `data_tfrecord-00000-of-00012`, uncompressed
            TFRecords. `text` is a run of whole consecutive lines of `document` (bytes as found), `position` the
            index in the document of its first line.
    """

    OUTPUTS = {"examples": "Examples"}

    class Parameters(base.Parameters):
        """What to read.

        Attributes:
            dataset: `python_docs`, `penn_treebank`, `wikitext2`, `wikitext103`, `text_files` or a TFDS name.
            data_dir: Folder that holds the text files, the corpus's files or a prepared TFDS copy.
            pattern: Glob pattern of `text_files` below `data_dir`.
            document: What a document of `text_files` is: a file, or a blank-line-separated block.
            chunk_bytes: About how many bytes of text one worker reads and one shard holds.
            source_url: Address of an archive with the files of `penn_treebank`, `wikitext2` or `wikitext103`.
            source_sha256: SHA-256 of what `source_url` gives.
            beam_args: Arguments of the Beam pipeline.
        """

        dataset: str = "python_docs"
        data_dir: str | None = None
        pattern: str = "**/*.txt{,.gz}"
        document: Literal["file", "block"] = "file"
        chunk_bytes: int = pydantic.Field(default=8 * 1024 * 1024, gt=0)
        source_url: str | None = None
        source_sha256: str | None = pydantic.Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
        beam_args: list[str] = ["--runner=FnApiRunner"]

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """A fingerprint of the source's contents.

        Raises:
            ComponentError: If the source is missing or empty.
        """
        del inputs
        return corpora.fingerprint(self.parameters)
