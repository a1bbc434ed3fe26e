"""MLflow: log, register, alias, load."""
