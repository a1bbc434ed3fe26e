"""The whole system on one machine: its processes and the demo run."""
