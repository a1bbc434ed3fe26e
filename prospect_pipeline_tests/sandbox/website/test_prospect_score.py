"""Runs the tests of prospect-score.js, which are written for Node's own test runner."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from prospect_pipeline.sandbox import website

HERE = Path(__file__).parent
SCRIPT = Path(website.__file__).parent / "assets" / "prospect-score.js"


def test_prospect_score_js_keeps_its_promises() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is missing; Debian: apt-get install nodejs (20 or newer)")

    run = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(HERE / "prospect_score.test.mjs")],
        env={**os.environ, "PROSPECT_SCORE_JS": str(SCRIPT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_prospect_score_js_needs_no_build_and_no_other_file() -> None:
    text = SCRIPT.read_text()

    assert "import " not in text
    assert "require(" not in text
    assert len(text) < 12_000
