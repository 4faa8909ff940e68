"""A split's text as ExampleGen took it in, as the Evaluator needs it: its size, its documents, and its token ids as
an exported model's own tokenizer gives them."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.artifacts.examples import Example, list_shards, read_batches
from models.text.token_stream import TokenStream, TokenWriter, write_index


class SplitText:
    """The examples of one split, read in the corpus's order.

    Args:
        examples: The Examples artifact.
        split: The split's name.

    Attributes:
        characters: Unicode characters of all texts, newlines included (an invalid byte counts as one).
        inked_characters: Those of them that are not white space.
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
        """Entropy of the characters that are not white space, in nats of one character."""
        counts: Counter[str] = Counter()
        for text in itertools.chain.from_iterable(self.batches()):
            for word in text.decode("utf-8", "replace").split():
                counts.update(word)
        shares = np.array(list(counts.values())) / max(1, counts.total())
        return float(-(shares * np.log(shares)).sum())

    def batches(self) -> Iterator[list[bytes]]:
        """The examples' texts, about a megabyte at once."""
        return ([example.text for example in batch] for batch in self._batches())

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
