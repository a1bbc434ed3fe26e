import pytest

from prospect_pipeline_tests.benchmarks.client import LoadFailed, Measured
from prospect_pipeline_tests.benchmarks.load import parse_wrk

PRINTED = """Running 2s test @ http://127.0.0.1:8080/predict
  1 threads and 16 connections
Requests/sec:    500.00
{{"requests": {requests}, "microseconds": 2000000, "errors": {errors}, "p50": 1500, "p95": 2000, \
"p99": 30250}}
"""


def test_what_wrk_prints_is_read() -> None:
    printed = PRINTED.format(requests=1000, errors='{"status": 0, "timeout": 0}')

    assert parse_wrk(printed) == Measured(1000, 500, p50=1.5, p95=2, p99=30.25)


def test_a_request_that_failed_ends_a_load_and_says_how() -> None:
    printed = PRINTED.format(requests=1000, errors='{"status": 3, "timeout": 0}')

    with pytest.raises(LoadFailed, match=r"\{'status': 3\}"):
        parse_wrk(printed)


def test_a_load_without_an_answer_fails() -> None:
    with pytest.raises(LoadFailed, match="None of"):
        parse_wrk(PRINTED.format(requests=0, errors="{}"))
