"""Writes Examples artifacts as ExampleGen does, for tests of the components that read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

Document = tuple[str, int, bytes]  # name, index of the first line, text


def write_examples(folder: Path, splits: Mapping[str, Sequence[Sequence[Document]]]) -> Path:
    """Writes an Examples artifact.

    Args:
        folder: Where; made if it is not there.
        splits: For each split its shards, each a list of Examples.
    """
    for split, shards in splits.items():
        split_dir = folder / f"Split-{split}"
        split_dir.mkdir(parents=True)
        for number, shard in enumerate(shards):
            with tf.io.TFRecordWriter(str(split_dir / f"data_tfrecord-{number:05d}-of-{len(shards):05d}")) as writer:
                for document, position, text in shard:
                    writer.write(_example(document, position, text))
    return folder


def write_texts(folder: Path, chunk_bytes: int = 1 << 18, **texts: bytes) -> Path:
    """Writes an Examples artifact of one document a split, cut at line ends into shards of about `chunk_bytes`."""
    return write_examples(folder, {split: _shards(split, text, chunk_bytes) for split, text in texts.items()})


def _shards(name: str, text: bytes, chunk_bytes: int) -> list[list[Document]]:
    shards, position, start = [], 0, 0
    while start < len(text) or not shards:
        end = text.find(b"\n", start + chunk_bytes - 1) + 1 or len(text)
        shards.append([(name, position, text[start:end])])
        position += text[start:end].count(b"\n")
        start = end
    return shards


def _example(document: str, position: int, text: bytes) -> bytes:
    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "document": of_bytes(document.encode()),
        "position": tf.train.Feature(int64_list=tf.train.Int64List(value=[position])),
        "text": of_bytes(text),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
