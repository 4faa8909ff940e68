"""MLflow: what is sent about a run, and the registered model. A run itself never imports MLflow.

`pipeline.commands` imports `tracker`, which starts the process that follows a run; `pipeline.report` imports
`resending`. The package imports `pipeline.config`, `metadata`, `reporting` and `runner`, and `components.artifacts`.
"""

import os

# MLflow reads this at import. Without it, MLflow sends usage data to its developers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
