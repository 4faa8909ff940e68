"""Small components with visible work, for tests of the runner."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from components.base import Component, ComponentError, Parameters

executions: list[str] = []  # names of the components that really ran, in order


class Source(Component):
    """Writes a text."""

    OUTPUTS: ClassVar = {"text": "Text"}

    class Parameters(Parameters):
        text: str = "hello"
        read_from: Path | None = None

    def external_state(self, inputs):
        source = self.parameters.read_from
        if source is not None and not source.exists():
            raise ComponentError(f"example_gen.data_dir: there is no {source}.")
        return {"content": source.read_text() if source else None}

    def execute(self, inputs, outputs, context):
        executions.append(self.name)
        source = self.parameters.read_from
        (outputs["text"] / "text.txt").write_text(source.read_text() if source else self.parameters.text)
        return {"characters": len(self.parameters.text)}


class Shout(Component):
    """Writes the text in capitals."""

    INPUTS: ClassVar = {"text": "Text"}
    OUTPUTS: ClassVar = {"shouted": "Text"}

    class Parameters(Parameters):
        error: str | None = None  # how to fail, halfway through writing

    def execute(self, inputs, outputs, context):
        executions.append(self.name)
        text = (inputs["text"] / "text.txt").read_text()
        (outputs["shouted"] / "text.txt").write_text(text.upper())
        print("a library that prints to standard output")
        errors = {
            "component": ComponentError("loss.gamma: found -1, expected a positive number."),
            "unexpected": ZeroDivisionError("division by zero"),
            "odd name": ComponentError("caf\udce9.txt is a zip archive."),  # a file whose name is no UTF-8
            "disk full": OSError(28, "No space left on device", str(outputs["shouted"] / "text.txt")),
        }
        if self.parameters.error in errors:
            raise errors[self.parameters.error]
        if self.parameters.error == "interrupt":
            raise KeyboardInterrupt
        if self.parameters.error == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.parameters.error == "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
        if self.parameters.error == "hang":
            (context.workspace / "hanging").touch()
            time.sleep(60)
        if self.parameters.error in ("deaf", "replacing"):
            worker = subprocess.Popen(["sleep", "600"])
            (context.workspace / "hanging").write_text(str(worker.pid))
            self._wait_as_libraries_do()
        return {"not_finite": float("nan")}

    def _wait_as_libraries_do(self):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                if self.parameters.error == "replacing":
                    raise RuntimeError("the worker is gone") from None


class Judge(Component):
    """Blesses or refuses."""

    INPUTS: ClassVar = {"shouted": "Text"}
    OUTPUTS: ClassVar = {"blessing": "ModelBlessing"}
    GATE: ClassVar = "blessed"

    class Parameters(Parameters):
        blessed: bool = True

    def execute(self, inputs, outputs, context):
        executions.append(self.name)
        blessed = self.parameters.blessed
        (outputs["blessing"] / ("BLESSED" if blessed else "NOT_BLESSED")).write_text("too loud")
        return {"blessed": blessed, "valid_perplexity": 100.0, "test_perplexity": 90.0}


class Ship(Component):
    """Ships what was blessed."""

    INPUTS: ClassVar = {"shouted": "Text", "blessing": "ModelBlessing"}
    OUTPUTS: ClassVar = {"pushed_model": "PushedModel"}

    class Parameters(Parameters):
        serving_dir: Path

    def execute(self, inputs, outputs, context):
        executions.append(self.name)
        (outputs["pushed_model"] / "where").write_text(str(self.parameters.serving_dir))
        self.parameters.serving_dir.mkdir(exist_ok=True)
        return {"pushed_model": str(self.parameters.serving_dir), "version": 1}

    def still_valid(self, outputs):
        return self.parameters.serving_dir.exists()


class Climb(Component):
    """Counts to `steps`, a step at a time; falls after `fall_after` new ones."""

    OUTPUTS: ClassVar = {"height": "Number"}
    RESUMABLE: ClassVar = True

    class Parameters(Parameters):
        steps: int = 5

    fall_after: ClassVar[int | None] = None  # not a parameter, so that the same command can resume

    def execute(self, inputs, outputs, context):
        checkpoint = context.workspace / "height"
        start = int(checkpoint.read_text()) if checkpoint.exists() else 0
        for height in range(start + 1, self.parameters.steps + 1):
            checkpoint.write_text(str(height))
            if height - start == self.fall_after:
                raise ComponentError("fell")
        (outputs["height"] / "height").write_text(checkpoint.read_text())
        return {"started_at": start}


def chain(serving_dir: Path, text="hello", error=None, blessed=True, read_from=None) -> list[Component]:
    """Source -> Shout -> Judge -> Ship."""
    source = Source(Source.Parameters(text=text, read_from=read_from))
    shout = Shout(Shout.Parameters(error=error), text=source.outputs["text"])
    judge = Judge(Judge.Parameters(blessed=blessed), shouted=shout.outputs["shouted"])
    ship = Ship(
        Ship.Parameters(serving_dir=serving_dir),
        shouted=shout.outputs["shouted"],
        blessing=judge.outputs["blessing"],
    )
    return [source, shout, judge, ship]
