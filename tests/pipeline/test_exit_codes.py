"""The exit codes are part of the commands' interface: scripts rely on the numbers."""

from pipeline.exit_codes import DONE, FAILED, INTERRUPTED, REFUSED, TERMINATED, USAGE_ERROR


def test_the_numbers_are_those_of_the_help():
    assert (DONE, FAILED, USAGE_ERROR, REFUSED, INTERRUPTED, TERMINATED) == (0, 1, 2, 3, 130, 143)
