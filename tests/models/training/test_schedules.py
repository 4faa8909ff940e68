"""Ramps of τ and γ: their values at steps."""

import pytest

from models.training.schedules import Schedule

STEPS_PER_EPOCH = 40


def values(schedule, *steps):
    return [schedule.at(step, STEPS_PER_EPOCH) for step in steps]


def test_without_a_start_the_value_is_constant():
    assert values(Schedule(end=20.0), 0, 1, 10_000) == [20.0, 20.0, 20.0]


def test_a_linear_ramp_adds_the_same_at_every_step():
    schedule = Schedule(end=20.0, start=10.0, length=5, unit="steps")
    assert values(schedule, *range(8)) == pytest.approx([10, 12, 14, 16, 18, 20, 20, 20])


def test_an_exponential_ramp_multiplies_by_the_same_at_every_step():
    schedule = Schedule(end=16.0, start=1.0, shape="exponential", length=4, unit="steps")
    assert values(schedule, *range(6)) == pytest.approx([1, 2, 4, 8, 16, 16])


def test_gamma_warms_up_from_zero():
    assert values(Schedule(end=0.65, start=0.0), 0, 20, 40, 41) == pytest.approx([0, 0.325, 0.65, 0.65])


def test_a_length_in_epochs_is_that_many_times_the_steps_of_an_epoch():
    in_epochs = Schedule(end=20.0, start=5.0, length=1.5)
    in_steps = Schedule(end=20.0, start=5.0, length=60, unit="steps")
    steps = (0, 17, 39, 40, 59, 60, 61)
    assert values(in_epochs, *steps) == values(in_steps, *steps)


def test_a_ramp_may_decrease():
    assert values(Schedule(end=1.0, start=3.0, length=2, unit="steps"), 0, 1, 2) == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("start, end", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_an_exponential_ramp_from_or_to_zero_is_refused(start, end):
    with pytest.raises(ValueError, match="needs both above 0; use linear"):
        Schedule(end=end, start=start, shape="exponential")


def test_a_ramp_without_length_is_refused():
    with pytest.raises(ValueError, match="length of a ramp is 0 steps; expected more than 0"):
        Schedule(end=1.0, start=0.5, length=0, unit="steps")
