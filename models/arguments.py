"""Checks of the arguments of `LanguageModel`: ranges, and options that have no effect together.

`models.settings` has bounds, too, for the values of a configuration. They are checked again here, because a user of
Keras makes a `LanguageModel` without settings: errors then name Keras arguments, and None means "not given". One bound
differs: a model may start with all weights 0 (`init_scale` 0), which predicts all words equally, but it cannot be
trained, so the settings refuse 0.
"""


def check_network(
    vocabulary_size: int, units: int, num_layers: int, embedding_units: int | None, init_scale: float
) -> None:
    """Checks the arguments of the network.

    Args:
        vocabulary_size: Number of words V, at least 2: `<unk>` and `<eos>`.
        units: Size of the hidden states, at least 1.
        num_layers: Number of LSTM layers, at least 1.
        embedding_units: Size of the word vectors, at least 1, or None.
        init_scale: Bound of the initial weights, at least 0; 0 makes a model that predicts all words equally.

    Raises:
        ValueError: For the first argument that is out of its range.
    """
    sizes = {"vocabulary_size": vocabulary_size, "units": units, "num_layers": num_layers}
    for name, value in {**sizes, "embedding_units": embedding_units}.items():
        least = 2 if name == "vocabulary_size" else 1
        if value is not None and value < least:
            raise ValueError(f"{name}: found {value}, expected at least {least}.")
    if not init_scale >= 0:
        raise ValueError(f"init_scale: found {init_scale}, expected at least 0.")


def check_dropout(**rates: float | None) -> None:
    """Checks probabilities of dropping.

    Args:
        **rates: The probabilities by the names of their arguments, in [0, 1); None was not given.

    Raises:
        ValueError: For the first that is out of its range.
    """
    for name, rate in rates.items():
        if rate is not None and not 0 <= rate < 1:
            raise ValueError(f"{name}: found {rate}, expected a probability of dropping in [0, 1).")


def check_penalties(**coefficients: float) -> None:
    """Checks coefficients of penalties.

    Args:
        **coefficients: The coefficients by the names of their arguments, at least 0.

    Raises:
        ValueError: For the first that is out of its range.
    """
    for name, value in coefficients.items():
        if not value >= 0:
            raise ValueError(f"{name}: found {value}, expected at least 0.")


def check_loss(
    augmented: bool,
    temperature: float | None,
    gamma: float | None,
    gradient_through_target: bool | None,
    target: str,
) -> None:
    """Checks the arguments of the loss; an argument that is None was not given.

    Args:
        augmented: Whether training adds the augmented loss.
        temperature: τ, more than 0; only with the augmented loss.
        gamma: γ, at least 0; only with the augmented loss.
        gradient_through_target: Whether the gradient flows through the target distribution; only with the augmented
            loss and the current embedding.
        target: "current", "held" or "average".

    Raises:
        ValueError: For the first argument that is out of its range or has no effect.
    """
    if target not in ("current", "held", "average"):
        raise ValueError(f"target: found {target!r}, expected 'current', 'held' or 'average'.")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature: found {temperature}, expected more than 0.")
    if gamma is not None and not gamma >= 0:
        raise ValueError(f"gamma: found {gamma}, expected at least 0.")
    if not augmented:
        given = {"temperature": temperature, "gamma": gamma}
        given["gradient_through_target"] = gradient_through_target or None
        given["target"] = None if target == "current" else target
        for name, value in given.items():
            if value is not None:
                raise ValueError(f"{name}: found {value} with augmented=False, which does not use it. Leave it out.")
    if gradient_through_target and target != "current":
        raise ValueError(f"gradient_through_target needs target='current': a copy ({target}) has no gradient.")


def check_types(dtype: str, precision: str, weights_dtype: str) -> None:
    """Checks the types that a model computes in.

    Args:
        dtype: Name of the model's dtype policy.
        precision: Type of the large products of training.
        weights_dtype: Type of the weights.

    Raises:
        ValueError: If there is no such policy for the model, or the products have another type than bfloat16 or that
            of the weights.
    """
    if dtype not in ("float32", "float64", "mixed_bfloat16"):
        raise ValueError(f"dtype: found {dtype}, expected float32, float64 or mixed_bfloat16.")
    if dtype == "float64" and precision != "float64":
        raise ValueError(f"precision: found {precision} with dtype float64, expected float64.")
    if precision not in (weights_dtype, "bfloat16"):
        raise ValueError(
            f"precision: found {precision}, expected bfloat16 or {weights_dtype}, the type of the weights."
        )
