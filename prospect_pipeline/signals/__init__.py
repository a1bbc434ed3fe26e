"""Signals itself: deploying the configuration, and reading attributes online."""
