"""The shorter train split that a part of an epoch is measured on."""

import numpy as np

from benchmarks import trainer_process
from components.artifacts.splits import SPLITS, split_dir
from models.text.token_stream import TokenStream, TokenWriter, write_index


def test_a_cut_copy_has_the_first_tokens_of_train_and_the_other_splits_whole(tmp_path):
    tokens = tmp_path / "tokens"
    for split in SPLITS:
        split_dir(tokens, split).mkdir(parents=True)
        with TokenWriter(split_dir(tokens, split) / "tokens-00000-of-00001") as writer:
            writer.write(np.arange(100, dtype=np.int32))
        write_index(split_dir(tokens, split), [(writer.path.name, writer.counts)])
    folder = trainer_process.cut(tokens, tmp_path / "cut", 30)
    found = {split: TokenStream(split_dir(folder, split))[:].tolist() for split in SPLITS}
    assert found == {"train": list(range(30)), "eval": list(range(100)), "test": list(range(100))}
    assert len(TokenStream(split_dir(tokens, "train"))) == 100
