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


def test_the_reports_path_stands_in_one_piece_and_no_password_stands_in_an_address(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    report = f"/home/ann/{'a-long-folder/' * 9}[1] report.html"
    summary = {
        "model": {"name": "prospect_scoring", "version": "1"},
        "metrics": {"roc_auc": 0.7, "pr_auc": 0.3, "log_loss": 0.2},
        "champion": {"version": "1", "reason": "It is the first."},
        "intervals": {"pr_auc": [0.2, 0.4]},
        "training_rows": 10,
        "positives": 1,
        "events": 20,
        "scores": [{"domain_userid": "ann", "score": 0.1, "model_version": "1"}],
        "report": report,
        "seconds": {"total": 1.0},
        "memory_gb": 1.0,
    }

    run.console.results(summary, {"mlflow": "http://ann:secret@127.0.0.1:5050"})

    printed = capsys.readouterr().out
    assert f"Evaluation report: {report}" in printed.splitlines()
    assert "secret" not in printed
