"""Fixtures that more than one folder of tests uses."""

import os
import signal
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared" / "data" / "ptb"
PTB_DIR = Path(os.environ.get("PTB_DIR") or BESIDE)


# A shell starts background jobs with Ctrl-C ignored, which programs started here would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def ptb_dir() -> Path:
    """A folder with the Penn Treebank: `ptb.train.txt`, `ptb.valid.txt`, `ptb.test.txt`.

    It is the one that the environment variable PTB_DIR names, by default one beside this repository.
    """
    if not (PTB_DIR / "ptb.train.txt").exists():
        pytest.skip(f"{PTB_DIR} has no ptb.train.txt: set PTB_DIR to a folder with the Penn Treebank.")
    return PTB_DIR
