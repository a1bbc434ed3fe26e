"""Real-time prospect scoring on Snowplow Signals, from one definition to ``POST /predict``."""
