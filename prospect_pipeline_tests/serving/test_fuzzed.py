"""The service asked at random: what its document allows, what it does not, and raw requests."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.raw import Reply, ask
from prospect_pipeline_tests.serving.services import SECRET, service_over_http
from prospect_pipeline_tests.serving.standin import StandIn

FREE = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
SHORT, LONG = 50, pytest.param(1250, marks=pytest.mark.long)  # of each of four kinds

JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
).map(json.dumps)
REQUESTS = st.fixed_dictionaries({"domain_userid": st.text(min_size=1)}).map(json.dumps)
BROKEN = st.tuples(REQUESTS, st.integers(0, 60), st.binary(max_size=4)).map(
    lambda found: found[0].encode()[: found[1]] + found[2] + found[0].encode()[found[1] :]
)
BODIES = st.binary(max_size=200) | JSON_TEXT.map(str.encode) | REQUESTS.map(str.encode) | BROKEN
TYPES = st.sampled_from([b"application/json", b"application/json;charset=utf-16", b"text/plain"])
METHODS = st.sampled_from([b"POST", b"POST", b"POST", b"GET", b"PUT", b"PATCH", b"TRACE", b"LOCK"])
LETTERS = st.sampled_from([*(bytes([code]) for code in range(0x21, 0x7F)), b"%0A", b"%00", b"%C3"])
PATHS = st.sampled_from([b"/predict", b"/predict_batch", b"/", b"/livez"])
ODD_PATHS = st.tuples(PATHS, st.lists(LETTERS, max_size=4)).map(
    lambda found: found[0] + b"".join(found[1])
)
NAMES = st.sampled_from([b"Authorization", b"Origin", b"traceparent", b"X-Forwarded-For"])
VALUES = st.binary(max_size=20).map(lambda value: value.translate(None, b"\0\r\n"))


@pytest.fixture(scope="module")
def url(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service over a Signals that knows nobody."""
    working = tmp_path_factory.mktemp("working")
    variables = {
        "SP_SANDBOX_TOKEN": SECRET,
        "PREDICT_BATCH_LIMIT": "20",
        "PREDICT_CORS_ORIGINS": "https://ours.example.com",
    }
    with (
        serving(StandIn(visitors={}).app) as signals,
        service_over_http(champion, working, SP_SANDBOX_URL=signals, **variables) as url,
    ):
        # A machine that stands still for a second or two is no failure of the service.
        bentoml.get_current_service().attributes.budget = 60
        yield url


@pytest.fixture(scope="module")
def document(url: str) -> Any:
    return schemathesis.openapi.from_url(f"{url}/docs.json")


@pytest.mark.parametrize("cases", [SHORT, LONG])
@pytest.mark.parametrize("path", ["/predict", "/predict_batch"])
@pytest.mark.parametrize(
    ("mode", "status"), [(GenerationMode.POSITIVE, 200), (GenerationMode.NEGATIVE, 400)]
)
def test_what_the_document_allows_is_answered_and_nothing_else(
    document: Any, path: str, mode: GenerationMode, status: int, cases: int
) -> None:
    found: Counter[int] = Counter()
    with requests.Session() as session:

        @settings(FREE, max_examples=cases)
        @given(case=document[path]["POST"].as_strategy(generation_mode=mode))
        def case_by_case(case: Any) -> None:
            reply = case.call_and_validate(session=session)
            found[reply.status_code] += 1

        case_by_case()

    assert found[status] > cases / 2
    assert found.keys() <= {status, 413, 415}


@pytest.mark.parametrize("cases", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_whatever_is_sent_the_answer_is_a_score_or_an_error_of_ours(url: str, cases: int) -> None:
    statuses: Counter[int] = Counter()

    @settings(FREE, max_examples=cases)
    @given(METHODS, PATHS | ODD_PATHS, TYPES, NAMES, VALUES, BODIES)
    @example(b"POST", b"/predict", b"application/json", b"Origin", b"", b'{"domain_userid": "a"}')
    def case_by_case(
        method: bytes, path: bytes, kind: bytes, name: bytes, value: bytes, body: bytes
    ) -> None:
        head = b"Content-Type: %s\r\n%s: %s\r\nContent-Length: %d" % (kind, name, value, len(body))
        reply = ask(url, b"%s %s HTTP/1.1\r\n%s\r\n\r\n%s" % (method, path, head, body))
        statuses[reply.status] += 1
        in_shape(reply)

    case_by_case()

    assert statuses[200]
    assert statuses[400]


def in_shape(reply: Reply) -> None:
    """Fail where a reply is an error of the service's, or one that is not told as others are."""
    assert 200 <= reply.status < 500
    if reply.status >= 400 and not reply.is_no_http:
        assert json.loads(reply.body)["error"].keys() == {"code", "message"}
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["x-content-type-options"] == "nosniff"
