"""Formats numbers for people: in tables, pages, charts and messages."""

from collections.abc import Mapping
from typing import Any


def readable(value: Any) -> str:
    """Formats a value of any kind: `1,234`, `123.4`, `0.001235`, `yes`.

    Args:
        value: A bool is yes or no. An integer gets thousands separators. A float has four significant digits. Anything
            else is shown as `str` has it.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return str(value)


def fixed(value: float) -> str:
    """Formats a number with two decimals from 10 on, and with four below: `89.13`, `0.2500`.

    Args:
        value: The number.
    """
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4f}"


def compact(value: float) -> str:
    """Formats a number for an axis: 1500 as `1,500`, 2e6 as `2M`, 0.00123 as `0.00123`.

    Args:
        value: The number.
    """
    for size, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k")):
        if abs(value) >= size:
            return f"{value / unit:,.4g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def setting(value: Any) -> str:
    """Formats the value of a setting: a float with four significant digits, anything else as `str` has it.

    Args:
        value: The value.
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def settings(values: Mapping[str, Any]) -> str:
    """Formats settings with their names: `learning_rate 1.234, units 200`.

    Args:
        values: The values by name.
    """
    return ", ".join(f"{name} {setting(value)}" for name, value in values.items())
