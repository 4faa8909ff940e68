"""A table with one small row and a corpus that trains in seconds."""

import random

WORDS = "alpha beta gamma delta epsilon zeta eta theta iota kappa".split()
ROW = """\
example_gen: {dataset: penn_treebank}
model: {units: 16, dropout: 0.0}
trainer: {epochs: 3, batch_size: 4, checkpoint_seconds: 0.1}
"""


def write_corpus(folder, lines=600, seed=1):
    """`ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` whose lines walk through a cycle of words."""
    folder.mkdir(parents=True)
    generator = random.Random(seed)
    for split, length in (("train", lines), ("valid", 80), ("test", 80)):
        rows = []
        for _ in range(length):
            start = generator.randrange(10)
            rows.append(" ".join(WORDS[(start + i) % 10] for i in range(generator.randrange(1, 12))))
        (folder / f"ptb.{split}.txt").write_text("".join(f"{row}\n" for row in rows))
    return folder


def write_table(folder, row=ROW):
    """A folder with the row `tiny`."""
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(row)
    return folder
