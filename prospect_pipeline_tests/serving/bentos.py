"""A Bento of this tree, built as anyone builds it, and what it is asked to score."""

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from prospect_pipeline import features
from prospect_pipeline_tests.registry.models import tiny_model
from prospect_pipeline_tests.serving.services import OURS, SECRET

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "prospect_pipeline"
LOCK = ROOT / "requirements-serving.lock"
MODEL = tiny_model()
SUNDAY = "2026-05-03T12:00:00+00:00"
ATTRIBUTES: dict[str, Any] = {
    "latest_app_id": "website",
    "num_sessions_l7d": ["s1", "s2"],
    "num_page_views_l7d": 3,
    "num_pricing_views_l30d": 4,
}


def environment(**variables: str) -> dict[str, str]:
    """This process's environment without the settings of ours and the place of our code."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith((*OURS, "PYTHONPATH"))}
    return kept | {"BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"} | variables


def build(folder: Path) -> Path:
    """Build a Bento in a copy of the tree, beside secrets that must not get into it.

    No package index is asked, and no tool fetched.
    """
    tree, home = folder / "tree", folder / "bentoml"
    shutil.copytree(PACKAGE, tree / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bentofile.yaml", LOCK.name, "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree)
    (tree / ".env").write_text(f"SP_SANDBOX_URL=http://x\nSP_SANDBOX_TOKEN={SECRET}\n")
    (tree / "data").mkdir()
    (tree / "data" / "sandbox.json").write_text(f'{{"token": "{SECRET}"}}')
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bentoml", "build", "--version", "tested"],
        cwd=tree, check=True, capture_output=True, timeout=120,
        env=environment(BENTOML_HOME=str(home), SNOWFLAKE_PASSWORD=SECRET)
        | {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"},
    )  # fmt: skip
    return home / "bentos" / "prospect_scoring" / "tested"


def offline() -> float:
    """Return the score of `ATTRIBUTES` by the trained model, as training computes it."""
    columns = features.vector(ATTRIBUTES, datetime.fromisoformat(SUNDAY))
    return float(MODEL.score(pd.DataFrame([columns]))[0])
