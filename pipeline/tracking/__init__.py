"""MLflow: what is sent about a run, and the registered model. A run itself never imports MLflow."""

import os

# MLflow reads this at import. Without it, MLflow sends usage data to its developers.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
