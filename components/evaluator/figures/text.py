"""A split's text as ExampleGen took it in, as the Evaluator needs it: its size, its documents, and its token ids as
an exported model's own tokenizer gives them."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.base import ComponentError
from models.text.token_stream import TokenStream, TokenWriter, write_index

BATCH_BYTES = 1 << 20  # text tokenized at once


class SplitText:
    """The examples of one split, read in the corpus's order.

    Args:
        split_dir: `<examples>/Split-<name>`.

    Attributes:
        characters: Unicode characters of all texts, newlines included (an invalid byte counts as one).
        inked_characters: Those of them that are not white space.
        documents: Name of each example's document, in order.

    Raises:
        ComponentError: If the folder has no examples.
    """

    def __init__(self, split_dir: Path):
        self._files = sorted(str(path) for path in split_dir.glob("data_tfrecord-*"))
        if not self._files:
            raise ComponentError(f"{split_dir} has no examples (data_tfrecord-*). Run ExampleGen again (--no-cache).")
        self.characters = self.inked_characters = 0
        self.documents: list[str] = []
        for document, text in self._examples():
            decoded = text.decode("utf-8", "replace")
            self.characters += len(decoded)
            self.inked_characters += sum(map(len, decoded.split()))
            self.documents.append(document.decode("utf-8", "replace"))

    def _examples(self) -> Iterator[tuple[bytes, bytes]]:
        features = {name: tf.io.FixedLenFeature([], tf.string) for name in ("document", "text")}
        for record in tf.data.TFRecordDataset(self._files):
            example = tf.io.parse_single_example(record, features)
            yield example["document"].numpy(), example["text"].numpy()

    def character_entropy(self) -> float:
        """Entropy of the characters that are not white space, in nats of one character."""
        counts: Counter[str] = Counter()
        for _, text in self._examples():
            for word in text.decode("utf-8", "replace").split():
                counts.update(word)
        shares = np.array(list(counts.values())) / max(1, counts.total())
        return float(-(shares * np.log(shares)).sum())

    def batches(self) -> Iterator[list[bytes]]:
        """The examples' texts, about `BATCH_BYTES` at once."""
        batch, size = [], 0
        for _, text in self._examples():
            if batch and size + len(text) > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += len(text)
        yield batch

    def token_ids(self, model) -> Iterator[np.ndarray]:
        """Each example's ids by the tokenizer of an `ExportedModel`, int32."""
        for batch in self.batches():
            yield from model.tokenize(batch)

    def write_tokens(self, model, folder: Path) -> TokenStream:
        """The same ids as a stream below `folder`, which is made if it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        with TokenWriter(folder / "tokens") as writer:
            for ids in self.token_ids(model):
                writer.write(ids)
        write_index(folder, [("tokens", writer.counts)])
        return TokenStream(folder)
