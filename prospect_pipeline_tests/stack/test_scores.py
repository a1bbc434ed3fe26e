"""Asking the service for a score, as a person and the checks in Dagster do."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request

from prospect_pipeline.errors import StackError
from prospect_pipeline.stack.scores import fetch_score
from prospect_pipeline_tests.doctor.looking import standing_in
from prospect_pipeline_tests.sandbox.conftest import serving

KEY = "a-key-that-nobody-guesses"
SCORED: dict[str, Any] = {"score": 0.5, "model": {"name": "prospect_scoring", "version": "1"}}


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
    async def predict(request: Request) -> dict[str, Any]:
        return SCORED | {"authorization": request.headers.get("authorization")}

    with serving(app) as url:
        assert fetch_score(url, "ann") == SCORED | {"authorization": sent}


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize(
    "body",
    [
        b"<h1>A page of theirs</h1>",
        b"",
        [],
        "theirs",
        {},
        {"detail": "theirs"},
        {"error": "theirs"},
        {"error": {"code": 7, "message": "theirs"}},
        {"score": "theirs", "model": {"version": "1"}},
        {"score": 0.5, "model": "theirs"},
        {"score": 0.5, "model": {"name": "theirs"}},
    ],
    ids=str,
)
def test_what_is_no_scoring_service_is_said_to_answer_and_not_what(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, body: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with standing_in(lambda *_: (status, {}, body)) as url, pytest.raises(StackError) as raised:
        fetch_score(f"{url}/", "ann")

    assert str(raised.value) == (
        f"{url} answers {status}, but is no scoring service. Check the address (--url, "
        "PREDICT_URL); `prospect run` starts one."
    )


def test_a_proxy_that_reaches_no_service_is_said_to_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = (502, {}, b"<h1>Bad Gateway</h1>")
    with standing_in(lambda *_: answer) as url, pytest.raises(StackError) as raised:
        fetch_score(url, "ann")

    assert str(raised.value).startswith(f"{url} answers 502, and not as the scoring service does.")


def test_why_the_service_gives_no_score_is_said_in_its_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    error = {"error": {"code": "signals_unavailable", "message": "Signals is away."}}
    with standing_in(lambda *_: (503, {}, error)) as url, pytest.raises(StackError) as raised:
        fetch_score(url, "ann")

    assert str(raised.value) == f"{url} answered 503 signals_unavailable: Signals is away."
