"""What `LanguageModel` refuses before the first step: data that are no windows, or do not fit the model."""

import numpy as np

IDS_CHECKED = 2**22  # ids of a stream that are looked at together: 16 MiB


def check_windows(name: str, data, targets, vocabulary_size: int, share: tuple[int, int] = (0, 1)) -> None:
    """Refuses what is no data set of `models.windows`, and tokens that are not in the vocabulary.

    Args:
        name: Of the argument.
        data: What was given.
        targets: What was given beside it; None where all is well.
        vocabulary_size: Of the model.
        share: Which of how many equal parts of the tokens is looked at: each of several workers takes one.

    Raises:
        ValueError: With the position of the first token that is not in the vocabulary.
    """
    spec = getattr(data, "element_spec", None)
    if targets is not None or not (isinstance(spec, tuple) and len(spec) == 3 and isinstance(spec[0], dict)):
        found = f"{type(data).__name__}{'' if targets is None else ' with y'}"
        raise ValueError(f"{name}: expected windows(tokens, batch_size, sequence_length) of models, found {found}.")
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


def check_lanes(name: str, data, replicas: int) -> None:
    """Refuses windows whose lanes do not divide among the replicas."""
    lanes = data.element_spec[1].shape[0]
    if lanes % replicas:
        raise ValueError(
            f"{name}: the batch_size of its windows, {lanes}, does not divide among {replicas} replicas. Use a "
            f"multiple of {replicas}."
        )


def check_carried(name: str, data, carried_lanes: int) -> None:
    """Refuses windows that start in the middle of lanes whose state the model does not carry."""
    lanes, start = data.element_spec[1].shape[0], getattr(data, "start", 0)
    if start and carried_lanes != lanes:
        raise ValueError(
            f"{name}: it starts at window {start} of {lanes} lanes, but the model carries the state of "
            f"{carried_lanes}. Start at window 0, or restore model.carried_state."
        )
