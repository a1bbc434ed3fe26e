"""Dagster: assets, checks, resources, jobs and schedules; thin."""
