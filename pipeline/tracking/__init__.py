"""MLflow: what is sent of a run, by whom, and the model that it registers. A run itself never imports MLflow."""

import os

# MLflow reads this when it is imported; else it sends its makers what is used.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
