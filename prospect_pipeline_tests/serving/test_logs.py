"""The service's log: lines of JSON, a share of the answers, nothing that is secret."""

import json
import logging
import random

import pytest

from prospect_pipeline.serving.logs import JsonLines, RequestLog

SECRET = "s3cret-of-ours"


class Time:
    """Seconds that pass when a test says so."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


def line(message: str, **more: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"name": "prospect.x", "levelname": "WARNING", "msg": message, "created": 0.5, **more}
    )
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, object] = json.loads(text)
    return found


def test_a_record_is_one_line_of_json() -> None:
    assert line(
        'It said "no"\nand left.', endpoint="/predict", ms=1.5, visitor="ann", reason="password=x"
    ) == {
        "at": "1970-01-01T00:00:00.500+00:00",
        "level": "warning",
        "logger": "prospect.x",
        "message": 'It said "no"\nand left.',
        "endpoint": "/predict",
        "ms": 1.5,
        "reason": "password=***",
    }


def test_a_secret_of_the_settings_is_hidden_in_words_and_tracebacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREDICT_API_KEY", f"{SECRET}-that-is-long")
    try:
        raise ValueError(f"{SECRET}-that-is-long")
    except ValueError as error:
        problem = (type(error), error, error.__traceback__)

    found = line(f"key {SECRET}-that-is-long", exc_info=problem)

    assert SECRET not in json.dumps(found)
    assert "ValueError" in str(found["traceback"])


def noted(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    return [
        (record.levelname, record.__dict__["outcome"], record.__dict__.get("more_like_it", 0))
        for record in caplog.records
    ]


def test_of_answers_a_share_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    none, every = RequestLog(0), RequestLog(1)

    for log in (none, every):
        for _ in range(3):
            log.note("/predict", 200, "scored", 0.001, "7")

    assert noted(caplog) == [("INFO", "scored", 0)] * 3
    assert caplog.records[0].__dict__["ms"] == 1.0
    assert caplog.records[0].__dict__["model_version"] == "7"


def test_of_each_failure_one_a_second_is_logged_and_the_others_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    time = Time()
    log = RequestLog(0, time)

    for _ in range(4):
        log.note("/predict", 503, "signals_unavailable", 0.3, "7")
    log.note("/predict", 400, "bad_request", 0.1, "7")
    time.now += 1
    log.note("/predict", 503, "signals_unavailable", 0.3, "7")

    assert noted(caplog) == [
        ("WARNING", "signals_unavailable", 0),
        ("INFO", "bad_request", 0),
        ("WARNING", "signals_unavailable", 3),
    ]


def test_what_others_draw_at_random_does_not_depend_on_what_is_logged() -> None:
    before = random.getstate()

    RequestLog(0.5).note("/predict", 200, "scored", 0.001, "1")

    assert random.getstate() == before
