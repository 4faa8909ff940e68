"""The published figures that the tables are compared with: validation and test perplexity by a row's name."""

# Inan et al. 2017, tables 1 and 2 (PTB).
PAPER = {
    "small_vd": (92.6, 87.3),
    "small_al": (86.3, 82.9),
    "small_re": (89.9, 85.1),
    "small_real": (86.3, 82.7),
    "medium_vd": (82.0, 77.7),
    "medium_al": (77.4, 74.7),
    "medium_re": (77.1, 73.9),
    "medium_real": (75.7, 73.2),
    "large_vd": (76.8, 72.6),
    "large_al": (74.5, 71.2),
    "large_re": (72.5, 69.0),
    "large_real": (71.1, 68.5),
}
COUNT_MODEL = "kneser_ney_5"
OTHERS = {
    # Mikolov's KN5.
    COUNT_MODEL: (None, 141.2),
    # Melis et al. 2018: one layer, 10 M parameters, the best of a large search, trained for about 240 epochs.
    "melis_1194": (None, 59.6),
}


def perplexities(name: str) -> tuple[float | None, float | None]:
    """Returns the published perplexities of a row.

    A variant is compared with the row of the paper that its name begins with: `small_real_recipe` with `small_real`.

    Args:
        name: The row's name.

    Returns:
        Validation and test perplexity, None if not published.
    """
    known = PAPER | OTHERS
    begins = [row for row in known if name == row or name.startswith(f"{row}_")]
    return known[max(begins, key=len)] if begins else (None, None)
