"""MLflow: what is sent about a run, and the registered model. A run itself never imports MLflow."""

import os

# MLflow reads this when it is imported; else it sends its makers what is used.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
