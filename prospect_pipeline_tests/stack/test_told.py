"""What `prospect run` says of itself, beside its results."""

import json
from pathlib import Path

import pytest

from prospect_pipeline.settings import DataSettings
from prospect_pipeline.stack.console import Console
from prospect_pipeline.stack.run import Run, RunOptions
from prospect_pipeline.stack.services import Ports


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SP_SANDBOX_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SP_SANDBOX_TOKEN", "token")
    monkeypatch.delenv("SIGNALS_TIMEOUT_MS", raising=False)
    monkeypatch.chdir(tmp_path)
    data = DataSettings.load(data_dir=tmp_path / "data")
    return Run(RunOptions(None, None, None, data, Ports(), stay=True), Console())


@pytest.mark.parametrize(("dotenv", "milliseconds"), [("", 1500), ("SIGNALS_TIMEOUT_MS=300", 300)])
def test_run_json_says_how_long_signals_has_to_answer(
    run: Run, dotenv: str, milliseconds: int
) -> None:
    Path(".env").write_text(dotenv)

    with run._announced(Ports()) as addresses:
        told = json.loads(run.options.data.run_file.read_text())

    assert told == addresses | {"signals_timeout_ms": milliseconds}
