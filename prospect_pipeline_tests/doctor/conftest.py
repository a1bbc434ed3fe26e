"""An environment without any setting of ours, and a working folder of its own."""

import os
from pathlib import Path

import pytest

from prospect_pipeline.registry.store import OWN_VARIABLES

OURS = ("SP_", "SNOWFLAKE_", "PROSPECT_", "SIGNALS_", "MLFLOW_", "MODEL_", "PREDICT_", "DAGSTER_")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(OURS) or name in ("ATOMIC_TABLE", "MIN_CONVERTERS"):
            monkeypatch.delenv(name)
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in OWN_VARIABLES:  # what MLflow leaves behind is taken away again
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
