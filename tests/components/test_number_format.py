"""How numbers are shown to people."""

import pytest

from components import number_format


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"), (False, "no"), (1234567, "1,234,567"), (-3, "-3"), (0.0012345, "0.001234"), (99.956, "99.96"),
        (100.04, "100.0"), (999.94, "999.9"), (1000.4, "1,000"), (-1234567.0, "-1,234,567"), (None, "None"),
        ("sgd", "sgd"), (float("inf"), "inf"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_a_value_of_any_kind_is_readable(value, text):
    assert number_format.readable(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.2500"), (9.99996, "10.0000"), (10.0, "10.00"), (-1234.567, "-1,234.57")]
)
def test_a_fixed_number_of_decimals_depends_on_the_size(value, text):
    assert number_format.fixed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00123, "0.00123"), (999, "999"), (1500, "1,500"), (250_000, "250k"), (2e6, "2M"), (-3.5e9, "-3.5G")],
)
def test_a_compact_number_fits_an_axis(value, text):
    assert number_format.compact(value) == text


def test_settings_are_shown_with_their_names():
    values = {"learning_rate": 1.23456, "units": 200, "optimizer": "sgd", "nesterov": True}
    assert number_format.settings(values) == "learning_rate 1.235, units 200, optimizer sgd, nesterov True"
