"""The settings of evaluation that adapts; needs no TensorFlow."""

from typing import Literal

import pydantic

Mode = Literal["cache", "dynamic"]


class AdaptiveSettings(pydantic.BaseModel):
    """What is evaluated beside the static model, and how.

    Attributes:
        adaptive: The modes.
        cache_lambda: Share of the cache in the mixture, 0 up to 1.
        cache_theta: How sharply the cache prefers hidden states that are alike.
        cache_window: Tokens that the cache remembers.
        dynamic_eta: Step size, of gradients divided by their root mean square on the training text.
        dynamic_lambda: Decay back to the trained weights, a step.
        dynamic_epsilon: Added to the root mean square.
        dynamic_segment: Tokens that are predicted before the weights take a step.
    """

    model_config = pydantic.ConfigDict(allow_inf_nan=False)

    adaptive: list[Mode] = []
    cache_lambda: float = pydantic.Field(0.1, ge=0, lt=1)
    cache_theta: float = pydantic.Field(1.0, ge=0)
    cache_window: int = pydantic.Field(500, ge=1, lt=2**31)
    dynamic_eta: float = pydantic.Field(5e-5, ge=0)
    dynamic_lambda: float = pydantic.Field(2e-3, ge=0)
    dynamic_epsilon: float = pydantic.Field(2e-5, gt=0)
    dynamic_segment: int = pydantic.Field(5, ge=1, lt=2**31)

    def of_mode(self, mode: str) -> dict[str, float]:
        """The settings of one mode, by key."""
        return {key: value for key, value in self.model_dump().items() if key.startswith(f"{mode}_")}
