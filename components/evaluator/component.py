"""Evaluator: judges the exported model on the eval and test splits and blesses it or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic

from components import base
from components.evaluator import baseline
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.figures import metrics, slices
from models.parameters import Parameters, setting
from models.serving import saved_model


class GateRule(Parameters):
    """One rule of the gate, in addition to the built-in ones, with exactly one of `min`, `max` and `max_change`.

    Attributes:
        metric: The metric that is judged; the definitions are in `metrics.py`.
        split: The split on which it is judged.
        slice: `dimension:bucket` as in `slices.py`, or None for the whole split. A slice without tokens is refused.
        min: Lowest value that passes.
        max: Highest value that passes.
        max_change: Largest relative change for the worse against the baseline that still passes (0.05: 5%).
        without_baseline: The verdict of `max_change` if there is no comparable baseline.
    """

    metric: Literal[metrics.METRICS]
    split: Literal["eval", "test"] = "eval"
    slice: str | None = None
    min: float | None = None
    max: float | None = None
    max_change: float | None = pydantic.Field(default=None, ge=0)
    without_baseline: Literal["pass", "refuse"] = "pass"

    @property
    def limit(self) -> float:
        """The one of `min`, `max` and `max_change` that is set."""
        return next(limit for limit in (self.min, self.max, self.max_change) if limit is not None)

    @property
    def dimension(self) -> str | None:
        """The slice's dimension, such as `document`; None for the whole split."""
        return self.slice and self.slice.partition(":")[0]

    @property
    def bucket(self) -> str | None:
        """The slice's bucket within its dimension, such as the document's name; None for the whole split."""
        return self.slice and self.slice.partition(":")[2]

    @pydantic.field_validator("slice")
    @classmethod
    def _slice_is_known(cls, value: str | None) -> str | None:
        return value if value is None else slices.check_slice(value)

    @pydantic.model_serializer(mode="wrap")
    def _leave_out_none(self, handler):
        return {key: value for key, value in handler(self).items() if value is not None}

    @pydantic.model_validator(mode="after")
    def _is_one_rule(self) -> "GateRule":
        bounds = [name for name in ("min", "max", "max_change") if getattr(self, name) is not None]
        if len(bounds) != 1:
            raise ValueError(f"exactly one of min, max and max_change in a rule, not {' and '.join(bounds) or 'none'}")
        if self.slice is not None and self.metric in metrics.WHOLE_SPLIT_ONLY:
            raise ValueError(f"no slice: {self.metric} is known only for a whole split")
        return self


class GateSettings(Parameters):
    """The rules of the gate."""

    max_perplexity: float | None = setting(
        None, "Highest perplexity on the eval split that is blessed.", null="no such bound", gt=1
    )
    max_regression: float = setting(
        0.02, "Relative rise of the eval split's perplexity over the pushed model's that is still blessed.", ge=0
    )
    rules: list[GateRule] = setting(
        [],
        "Further rules, each {metric, split, slice, and one of min, max and max_change}; with max_change also "
        "without_baseline: pass or refuse.",
    )


class EvaluatorSettings(AdaptiveSettings, GateSettings):
    """The rules of the gate, and the adaptive figures that are reported beside the static ones that it judges."""


class Evaluator(base.Component):
    """Evaluates the exported SavedModel, so that what is judged is what is served."""

    INPUTS: ClassVar = {
        "model": "Model",
        "transformed_examples": "Examples",
        "examples": "Examples",
        "vocabulary": "Vocabulary",
    }
    OUTPUTS: ClassVar = {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"}
    GATE: ClassVar = "blessed"

    class Parameters(EvaluatorSettings, base.BeamParameters):
        """The Evaluator's settings, the folder of the pushed versions (None: no baseline), and Beam's options."""

        serving_dir: Path | None = None

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """Returns the digest of the baseline, because another baseline can lead to another verdict.

        Args:
            inputs: `model` is read.

        Raises:
            ComponentError: If a SavedModel cannot be read.
        """
        pushed = baseline.find(self.parameters.serving_dir, inputs["model"] / saved_model.EXPORT)
        return {"baseline": pushed and pushed.digest}
