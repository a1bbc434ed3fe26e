"""Asking the service for a score, as a person and the checks in Dagster do."""

from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from prospect_pipeline.stack.scores import fetch_score
from prospect_pipeline_tests.sandbox.conftest import serving

KEY = "a-key-that-nobody-guesses"


@pytest.mark.parametrize(
    ("keys", "sent"), [("", None), (KEY, f"Bearer {KEY}"), (f"{KEY}, {KEY}2", f"Bearer {KEY}")]
)
def test_the_key_that_is_set_here_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, keys: str, sent: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREDICT_API_KEY", keys)
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, str | None]:
        return {"authorization": request.headers.get("authorization")}

    with serving(app) as url:
        assert fetch_score(url, "ann") == {"authorization": sent}
