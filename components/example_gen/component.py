"""ExampleGen: reads text in order from a folder, from this Python or from TensorFlow Datasets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from components import base
from components.example_gen import corpora
from models.parameters import Parameters, PathOrUrl, Text, Whole, setting


class ExampleGenSettings(Parameters):
    """The corpus, its place, and how it is read."""

    dataset: Text = setting(
        "python_docs",
        "Corpus: python_docs (the text that ships with Python), penn_treebank, wikitext2, wikitext103, text_files, or "
        "any TensorFlow Datasets name with a text feature, such as lm1b or wiki40b/en.",
    )
    data_dir: PathOrUrl | None = setting(
        None,
        "Folder of a local copy of the corpus, or of the texts of text_files; theirs may be a URL that Apache Beam can "
        "read, such as gs://BUCKET/FOLDER.",
        null="not needed by python_docs",
    )
    pattern: Text = setting(
        "**/*.txt{,.gz}",
        "Files below data_dir that text_files reads, as a glob (plain or gzip); {a,b} matches either.",
    )
    document: Literal["file", "block"] = setting(
        "file", "What text_files keeps together as one document: file, or block (between blank lines)."
    )
    source_url: Text | None = setting(
        None,
        "Address of an archive with the files of penn_treebank, wikitext2 or wikitext103; needs source_sha256.",
        pattern=r"^https?://\S+$",
    )
    source_sha256: Text | None = setting(
        None, "SHA-256 of what source_url gives, in hexadecimal.", pattern="^[0-9a-fA-F]{64}$"
    )
    chunk_bytes: Whole = setting(
        8_388_608,
        "Size of the pieces that are read, tokenized and written by one worker at a time, in bytes.",
        ge=65_536,
    )

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yields the key and the message of each setting that contradicts another one."""
        yield from super().contradictions()
        if (self.source_url is None) != (self.source_sha256 is None):
            yield "source_url", "found one of source_url and source_sha256, expected both or neither."


class ExampleGen(base.Component):
    """Writes the corpus's splits as ordered shards of `tf.train.Example` {document, position, text}.

    Outputs:
        examples: `Split-train/`, `Split-eval/` and `Split-test/` with `data_tfrecord-00000-of-00012`, uncompressed
            TFRecords. `text` is a run of whole consecutive lines of `document` (bytes as read), `position` the index in
            the document of its first line.
    """

    OUTPUTS = {"examples": "Examples"}

    class Parameters(ExampleGenSettings, base.BeamParameters):
        """The corpus, how it is read, and Beam's options."""

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Returns a fingerprint of the source's contents.

        Args:
            inputs: Not used.

        Raises:
            ComponentError: If the source is missing or empty.
        """
        del inputs
        return corpora.fingerprint(self.parameters)
