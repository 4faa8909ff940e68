"""Evaluator: judges the exported model on the eval and test splits and blesses it or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pydantic

from components import base
from components.evaluator import baseline
from components.evaluator.adaptive.settings import AdaptiveSettings
from components.evaluator.figures import metrics, slices


class Rule(pydantic.BaseModel):
    """One rule of the gate beside the built-in ones: exactly one of `min`, `max` and `max_change`.

    Attributes:
        metric: What is judged; the definitions are in `metrics.py`.
        split: Split it is judged on.
        slice: `dimension:bucket` as in `slices.py`, or None for the whole split. A slice without tokens refuses.
        min: Lowest value that passes.
        max: Highest value that passes.
        max_change: Relative change for the worse against the baseline that still passes (0.05: 5%).
        without_baseline: What a `max_change` decides where no baseline can be compared with.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: Literal[metrics.METRICS]
    split: Literal["eval", "test"] = "eval"
    slice: str | None = None
    min: float | None = None
    max: float | None = None
    max_change: float | None = pydantic.Field(default=None, ge=0)
    without_baseline: Literal["pass", "refuse"] = "pass"

    @pydantic.field_validator("slice")
    @classmethod
    def _slice_is_known(cls, value: str | None) -> str | None:
        return value if value is None else slices.check_slice(value)

    @pydantic.model_validator(mode="after")
    def _is_one_rule(self) -> "Rule":
        bounds = [name for name in ("min", "max", "max_change") if getattr(self, name) is not None]
        if len(bounds) != 1:
            raise ValueError(f"exactly one of min, max and max_change in a rule, not {' and '.join(bounds) or 'none'}")
        if self.slice is not None and self.metric in metrics.WHOLE_SPLIT_ONLY:
            raise ValueError(f"no slice: {self.metric} is known for a whole split only")
        return self


class Evaluator(base.Component):
    """Evaluates the SavedModel itself: what is judged is what ships."""

    INPUTS: ClassVar = {
        "model": "Model",
        "transformed_examples": "Examples",
        "examples": "Examples",
        "vocabulary": "Vocabulary",
    }
    OUTPUTS: ClassVar = {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"}
    GATE: ClassVar = "blessed"

    class Parameters(AdaptiveSettings, base.Parameters):
        """What the gate asks, and which adaptive figures are told beside the static ones that it judges.

        Attributes:
            max_perplexity: Highest perplexity on the eval split that passes; None: no such bound.
            max_regression: Relative rise of the eval split's perplexity over the baseline's that still passes.
            rules: Further rules.
            serving_dir: Folder of the pushed versions, where the baseline is found; None: no baseline.
            beam_args: Options of the Beam runner, which reads long splits.
        """

        max_perplexity: float | None = pydantic.Field(default=None, gt=1)
        max_regression: float = pydantic.Field(default=0.02, ge=0)
        rules: tuple[Rule, ...] = ()
        serving_dir: Path | None = None
        beam_args: tuple[str, ...] = ("--runner=FnApiRunner",)

    def external_state(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """The digest of the baseline: another model to beat is another judgement."""
        found = baseline.find(self.parameters.serving_dir, inputs["model"] / "Format-Serving")
        return {"baseline": found and found.digest}
