"""The BentoML service behind ``POST /predict``."""
