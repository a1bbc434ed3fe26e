"""MLflow: register (`registration`), read (`store`), move the alias (`champions`)."""
