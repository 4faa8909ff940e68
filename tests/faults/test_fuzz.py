"""A short fuzzing of each reader; `python -m tests.faults.fuzz --minutes 60` is the long one."""

import pytest

from tests.faults.fuzz import READERS, fuzz


@pytest.mark.parametrize("name", READERS)
@pytest.mark.filterwarnings("ignore:Reading `.npy`")  # of a header that looks like Python 2's
def test_a_reader_gives_a_result_or_its_own_error(name):
    fuzz(name, seed=0)
