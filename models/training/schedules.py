"""Values that change during training.

τ and γ may ramp up at first, because the embedding that the target distribution is made from is still untrained then.
"""

import dataclasses
from typing import Literal

from models.settings import LossSettings


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A value as a function of the step.

    Attributes:
        end: The value from `length` on.
        start: The value at the first step; None: `end` throughout (constant).
        shape: "linear" adds the same amount, "exponential" multiplies by the same factor at every step.
        length: How long the ramp lasts, in `unit`s. `start` 0 over one epoch is a warm-up.
        unit: "epochs" or "steps".

    Raises:
        ValueError: If an exponential ramp starts or ends at 0 or below, or the length is not positive.
    """

    end: float
    start: float | None = None
    shape: Literal["linear", "exponential"] = "linear"
    length: float = 1.0
    unit: Literal["epochs", "steps"] = "epochs"

    def __post_init__(self):
        if self.start is not None and self.shape == "exponential" and min(self.start, self.end) <= 0:
            raise ValueError(f"An exponential ramp from {self.start} to {self.end} needs both above 0; use linear.")
        if self.length <= 0:
            raise ValueError(f"The length of a ramp is {self.length} {self.unit}; expected more than 0.")

    def at(self, step: int, steps_per_epoch: int) -> float:
        """Computes the value at a step.

        Args:
            step: The step, counted from 0 at the start of training.
            steps_per_epoch: Steps of an epoch, which convert a length in epochs.

        Returns:
            The value.
        """
        if self.start is None:
            return self.end
        length = self.length * (steps_per_epoch if self.unit == "epochs" else 1)
        share = min(1.0, step / length)
        if self.shape == "linear":
            return self.start + (self.end - self.start) * share
        return self.start * (self.end / self.start) ** share


def schedules(settings: LossSettings) -> dict[str, Schedule]:
    """Makes the schedules of the augmented loss.

    Args:
        settings: The loss's settings; a ramp ends at the value of `temperature` or `gamma`.

    Returns:
        The schedules by "temperature" and "gamma"; a value that is constant has none, nor does a loss that is off.
    """
    if not settings.augmented:
        return {}
    ramps = {"temperature": settings.temperature_schedule, "gamma": settings.gamma_schedule}
    return {name: Schedule(end=getattr(settings, name), **ramp.model_dump()) for name, ramp in ramps.items() if ramp}
