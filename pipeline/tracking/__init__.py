"""MLflow: what is sent of a run, by whom, and the model that it registers. MLflow is imported in other processes."""
