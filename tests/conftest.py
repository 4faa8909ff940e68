"""Fixtures that more than one folder of tests uses."""

import signal
from pathlib import Path

import pytest

PTB_DIR = Path(__file__).parents[2] / "shared" / "data" / "ptb"


# A shell starts background jobs with Ctrl-C ignored, which programs started here would inherit.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def ptb_dir() -> Path:
    """A folder with the Penn Treebank: `ptb.train.txt`, `ptb.valid.txt`, `ptb.test.txt`."""
    if not (PTB_DIR / "ptb.train.txt").exists():
        pytest.skip("The Penn Treebank is not beside this repository.")
    return PTB_DIR
