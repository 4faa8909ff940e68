"""The real command line over the fake components, whose behaviour comes from the environment; run as a script."""

import json
import os
import sys
import types
from pathlib import Path

from pipeline import commands, run
from pipeline.runner import stopping
from tests.pipeline.runner.fake_components import chain

OPTIONS = json.loads(os.environ.get("FAKE_OPTIONS", "{}"))

report = types.ModuleType("pipeline.reporting.page")
report.write_report = lambda record, path: path.write_text(json.dumps(record))
sys.modules["pipeline.reporting.page"] = report
commands.create_pipeline = lambda settings: chain(Path(settings.pipeline.root) / "serving", **OPTIONS)

if __name__ == "__main__":
    exit_code = run.main()
    assert exit_code >= stopping.INTERRUPTED or "tensorflow" not in sys.modules, "the runner itself needs no TensorFlow"
    stopping.end(exit_code)
