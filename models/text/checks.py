"""Checks that `LanguageModel` makes before the first step: data must be windows, and must fit the model."""

from typing import Any

import numpy as np

IDS_CHECKED = 2**22  # ids of a stream that are checked at once: 16 MiB


def check_windows(name: str, data: Any, targets: Any, vocabulary_size: int, share: tuple[int, int] = (0, 1)) -> None:
    """Checks that data are a data set of `models.windows`, and that all tokens are in the vocabulary.

    Args:
        name: Name of the argument, for messages.
        data: The value of the argument.
        targets: The value of the argument `y`, which must be None: windows hold their targets.
        vocabulary_size: Number of words of the model.
        share: (index, number of parts): which of that many equal parts of the tokens is checked. Each of several
            workers checks one. Default: all tokens.

    Raises:
        ValueError: If the data are no windows, or a token is not in the vocabulary; the message has the position of the
            first such token.
    """
    spec = getattr(data, "element_spec", None)
    if targets is not None or not (isinstance(spec, tuple) and len(spec) == 3 and isinstance(spec[0], dict)):
        kind = f"{type(data).__name__}{'' if targets is None else ' with y'}"
        raise ValueError(f"{name}: expected windows(tokens, batch_size, sequence_length) of models, found {kind}.")
    tokens = getattr(data, "tokens", ())
    first, end = (len(tokens) * part // share[1] for part in (share[0], share[0] + 1))
    for start in range(first, end, IDS_CHECKED):
        ids = np.asarray(tokens[start : min(start + IDS_CHECKED, end)])
        outside = (ids < 0) | (ids >= vocabulary_size)
        if outside.any():
            position = int(outside.argmax())
            raise ValueError(
                f"{name}: token {start + position:,} has the id {ids[position]}, outside of the vocabulary of "
                f"{vocabulary_size:,} words (ids 0 to {vocabulary_size - 1:,}). Use the vocabulary that the text was "
                "transformed with."
            )


def check_lanes(name: str, data: Any, replicas: int) -> None:
    """Checks that the lanes of windows divide among the replicas.

    Args:
        name: Name of the argument, for messages.
        data: A data set of `models.windows`.
        replicas: Number of replicas of the strategy.

    Raises:
        ValueError: If the number of lanes is not a multiple of `replicas`.
    """
    lanes = data.element_spec[1].shape[0]
    if lanes % replicas:
        raise ValueError(
            f"{name}: the batch_size of its windows, {lanes}, does not divide among {replicas} replicas. Use a "
            f"multiple of {replicas}."
        )


def check_carried(name: str, data: Any, carried_lanes: int) -> None:
    """Checks that the model carries the state for windows that start in the middle of their lanes.

    Args:
        name: Name of the argument, for messages.
        data: A data set of `models.windows`.
        carried_lanes: Number of lanes whose state the model carries.

    Raises:
        ValueError: If the windows do not start at window 0 and have another number of lanes.
    """
    lanes, start = data.element_spec[1].shape[0], getattr(data, "start", 0)
    if start and carried_lanes != lanes:
        raise ValueError(
            f"{name}: it starts at window {start} of {lanes} lanes, but the model carries the state of "
            f"{carried_lanes}. Start at window 0, or restore model.carried_state."
        )


def check_start(name: str, data: Any) -> None:
    """Checks that windows to evaluate start at the beginning of their lanes.

    Args:
        name: Name of the argument, for messages.
        data: A data set of `models.windows`.

    Raises:
        ValueError: If they start later.
    """
    if start := getattr(data, "start", 0):
        raise ValueError(f"{name}: it starts at window {start}, expected windows that start at window 0.")


def check_epochs(name: str, data: Any, epochs: int) -> None:
    """Checks that windows that start in the middle of their lanes are trained on once.

    Args:
        name: Name of the argument, for messages.
        data: A data set of `models.windows`.
        epochs: Number of epochs.

    Raises:
        ValueError: If another epoch would follow, which has to begin at window 0.
    """
    start = getattr(data, "start", 0)
    if start and epochs > 1:
        raise ValueError(
            f"{name}: it starts at window {start}, and so would each of the {epochs} epochs. Finish the first one with "
            "epochs=1, then train the others with windows from 0 on."
        )
