"""The settings of adaptive evaluation; imports no TensorFlow."""

from typing import Literal

from models.parameters import Parameters, Whole, setting

Mode = Literal["cache", "dynamic"]


class AdaptiveSettings(Parameters):
    """The modes of adaptive evaluation that are measured beside the static model, and their settings."""

    adaptive: list[Mode] = setting(
        [],
        "Evaluation that adapts to what it reads, beside the static one that the gate judges: any of cache (a neural "
        "cache) and dynamic (dynamic evaluation). Reading a split takes minutes.",
    )
    cache_lambda: float = setting(0.1, "Share of the neural cache in the prediction, 0 up to 1.", ge=0, lt=1)
    cache_theta: float = setting(
        1.0, "How sharply the cache prefers words that came after a similar hidden state.", ge=0
    )
    cache_window: Whole = setting(500, "Tokens that the cache remembers.", ge=1)
    dynamic_eta: float = setting(
        5e-5,
        "Step size of dynamic evaluation, of gradients divided by their root mean square on training text.",
        ge=0,
    )
    dynamic_lambda: float = setting(2e-3, "Decay of the weights back to the trained ones, a step.", ge=0)
    dynamic_epsilon: float = setting(2e-5, "Added to the root mean square of the gradients.", gt=0)
    dynamic_segment: Whole = setting(5, "Tokens that are predicted before the weights take a step.", ge=1)

    def of_mode(self, mode: str) -> dict[str, float]:
        """Returns the settings of one mode ("cache" or "dynamic"), by key.

        Args:
            mode: "cache" or "dynamic".
        """
        return {key: value for key, value in self.model_dump().items() if key.startswith(f"{mode}_")}
