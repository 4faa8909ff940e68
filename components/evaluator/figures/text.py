"""The text of a split for the Evaluator: its size, its documents, and its token ids by a model's own tokenizer."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.artifacts.examples import Example, list_shards, read_batches
from models.text.token_stream import TokenStream, TokenWriter, write_index


class SplitText:
    """Reads the examples of one split in the corpus's order.

    Args:
        examples: The Examples artifact's folder.
        split: The split's name.

    Attributes:
        characters: Number of Unicode characters of all texts, newlines included (an invalid byte counts as one).
        inked_characters: Number of those characters that are not white space.
        documents: Name of each example's document, in order.

    Raises:
        ComponentError: If the split has no examples, or they are damaged.
    """

    def __init__(self, examples: Path, split: str):
        self._shards = list_shards(examples, [split])
        self.characters = self.inked_characters = 0
        self.documents: list[str] = []
        for example in itertools.chain.from_iterable(self._batches()):
            decoded = example.text.decode("utf-8", "replace")
            self.characters += len(decoded)
            self.inked_characters += sum(map(len, decoded.split()))
            self.documents.append(example.document.decode("utf-8", "replace"))

    def _batches(self) -> Iterator[list[Example]]:
        return itertools.chain.from_iterable(map(read_batches, self._shards))

    def character_entropy(self) -> float:
        """Computes the entropy of the characters that are not white space, in nats per character."""
        counts: Counter[str] = Counter()
        for text in itertools.chain.from_iterable(self.batches()):
            for word in text.decode("utf-8", "replace").split():
                counts.update(word)
        shares = np.array(list(counts.values())) / max(1, counts.total())
        return float(-(shares * np.log(shares)).sum())

    def batches(self) -> Iterator[list[bytes]]:
        """Yields the examples' texts in batches of about a megabyte."""
        return ([example.text for example in batch] for batch in self._batches())

    def token_ids(self, model) -> Iterator[np.ndarray]:
        """Yields the token ids of each example, int32 [n], by the tokenizer of an `ExportedModel`.

        Args:
            model: The `ExportedModel`.
        """
        for batch in self.batches():
            yield from model.tokenize(batch)

    def write_tokens(self, model, folder: Path) -> TokenStream:
        """Writes the ids of `token_ids` as a token stream.

        Args:
            model: The `ExportedModel` whose tokenizer is used.
            folder: The stream's folder, which is made if it is missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with TokenWriter(folder / "tokens") as writer:
            for ids in self.token_ids(model):
                writer.write(ids)
        write_index(folder, [("tokens", writer.counts)])
        return TokenStream(folder)
