"""The service asked by somebody who means it harm, with nothing but bytes on a connection."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from prospect_pipeline.serving import bodies
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.raw import Reply, ask
from prospect_pipeline_tests.serving.services import SECRET, service_over_http
from prospect_pipeline_tests.serving.standin import StandIn

KEY = b"a-key-that-nobody-guesses"
ANN = b'{"domain_userid": "ann"}'
JSON, KEYED = b"Content-Type: application/json", b"X-API-Key: " + KEY
MOST_BYTES = 16_384
NO_HTTP = "no HTTP"
"""In place of a code: the server itself found no request in this."""


@dataclass
class Site:
    url: str
    signals: StandIn


@pytest.fixture(scope="module", params=["httptools", "h11"])
def shared(
    request: pytest.FixtureRequest, champion: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A service with a key, behind each of the parsers that its server may have."""
    signals = StandIn(visitors={})
    variables = {
        "SP_SANDBOX_TOKEN": SECRET,
        "SIGNALS_TIMEOUT_MS": "1500",
        "PREDICT_API_KEY": KEY.decode(),
    }
    with pytest.MonkeyPatch.context() as patch, serving(signals.app) as behind:
        patch.setattr(bodies, "BODY_SECONDS", 0.3)
        working = tmp_path_factory.mktemp("working")
        with service_over_http(
            champion, working, request.param, SP_SANDBOX_URL=behind, **variables
        ) as url:
            yield Site(url, signals)


@pytest.fixture
def site(shared: Site) -> Site:
    shared.signals.asked.clear()
    return shared


def post(body: bytes = ANN, *heads: bytes, path: bytes = b"/predict", length: Any = None) -> bytes:
    said = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"POST %s HTTP/1.1" % path, *(heads or (JSON, KEYED)), said, b"", body])


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    heads = [b"POST /predict HTTP/1.1", JSON, KEYED, b"Transfer-Encoding: chunked", b"", b""]
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"\r\n".join(heads) + b"".join(parts) + end


def get(path: bytes, *heads: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([b"%s %s HTTP/1.1" % (method, path), *heads, b"", b""])


def code(reply: Reply) -> str:
    """What a reply says: 'scored', or an error's code, told as every error is."""
    if reply.status == 200:
        return "scored" if b'"score":' in reply.body else "told"
    if reply.is_no_http:
        return NO_HTTP
    said = json.loads(reply.body)
    assert said.keys() == {"error"}
    assert said["error"].keys() == {"code", "message"}
    for inside in (b"Traceback", b"bentoml", b"pydantic", b"starlette", SECRET.encode(), KEY):
        assert inside not in reply.body
    return str(said["error"]["code"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"domain_userid": "\xff\xfe"}', "bad_request"),
        (b'{"domain_userid": "\xc0\xaf"}', "bad_request"),
        (b'{"domain_userid": "\\ud800"}', "bad_request"),
        (b"\xef\xbb\xbf" + ANN, "bad_request"),
        (ANN.decode().encode("utf-16"), "bad_request"),
        (b"\0" * 100, "bad_request"),
        (b"[" * MOST_BYTES, "bad_request"),
        (b'{"a":' * 3000, "bad_request"),
        (b'{"domain_userid": "ann", "a": ' + b"[" * 150 + b"]" * 150 + b"}", "scored"),
        (b'{"domain_userid": 1e999999}', "bad_request"),
        (b'{"domain_userid": ' + b"9" * 10_000 + b"}", "bad_request"),
        (b'{"domain_userid": "ann", "a": ' + b"9" * 10_000 + b"}", "bad_request"),
        (b'{"domain_userid": "ann", "a": -1e999999}', "scored"),
        (b'{"domain_userid": 1, "domain_userid": "ann"}', "scored"),
        (ANN.ljust(MOST_BYTES), "scored"),
        (ANN.ljust(MOST_BYTES + 1), "too_large"),
    ],
)
def test_a_hostile_body_has_its_answer(site: Site, body: bytes, expected: str) -> None:
    assert code(ask(site.url, post(body))) == expected


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (chunked(ANN[:3], ANN[3:]), "scored"),
        (chunked(*[b" " * 1000] * 20), "too_large"),
        (chunked(ANN, end=b""), "timeout"),
        (post(length=len(ANN) + 1), "timeout"),
        (post(length=len(ANN) - 1), "bad_request"),
        (post(length=10**12), "too_large"),
        (post(ANN.ljust(20_000), JSON, KEYED, b"Expect: 100-continue"), "too_large"),
    ],
    ids=["chunks", "large chunks", "no end", "too long", "too short", "huge", "large, expecting"],
)
def test_a_length_that_lies_or_is_not_said_has_its_answer(
    site: Site, sent: bytes, expected: str
) -> None:
    assert code(ask(site.url, sent)) == expected


@pytest.mark.parametrize(
    "sent",
    [
        post(length=10**30),
        post(length=-1),
        post(ANN, JSON, KEYED, b"Content-Length: 2"),
        post(ANN, JSON, KEYED, b"Transfer-Encoding: chunked"),
        chunked(end=b"ZZ\r\nabc\r\n"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\r\n\r\n",
    ],
    ids=["huge", "negative", "two", "and chunked", "no chunk", "HTTP/2", "TLS"],
)
def test_what_is_hardly_http_is_refused(site: Site, sent: bytes) -> None:
    assert 400 <= ask(site.url, sent).status < 500
    assert site.signals.asked == []


@pytest.mark.parametrize(
    "path",
    [
        b"/predict", b"/predict?X-API-Key=" + KEY, b"/%70redict", b"/predict%0A", b"/predict%00",
        b"/predict/", b"/predict%2F", b"/predict;a", b"/predict/submit", b"//predict", b"/PREDICT",
        b"/./predict", b"/livez/../predict", b"/static_content/../predict",
        b"/static_content/%2e%2e/predict", b"/predict%20", b"/predict%C3%A9", b"http://x/predict",
        b"/predict_batch", b"/predict_batch%0A", b"/predict#a", b"*",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "heads",
    [
        (),
        (b"X-API-Key: ",),
        (b"Authorization: Bearer ",),
        (b"Authorization: Bearer " + KEY[:-1],),
        (b"Cookie: X-API-Key=" + KEY,),
        (b"X-Forwarded-For: 127.0.0.1", b"X-Original-URL: /livez", b"X-Http-Method-Override: GET"),
        (b"x-api-key: \xff" + KEY,),
        (b"X-API-Key: " + KEY + b"," + KEY,),
    ],
)
def test_without_the_key_there_is_no_score_by_any_path(
    site: Site, path: bytes, heads: tuple[bytes, ...]
) -> None:
    body = b'{"domain_userid": "ann", "domain_userids": ["ann"]}'

    reply = ask(site.url, post(body, JSON, *heads, path=path))

    assert code(reply) in {"unauthorized", "not_found", "method_not_allowed"}
    assert site.signals.asked == []


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"PUT", b"TRACE", b"PROPFIND", b"OPTIONS", b"CONNECT", b"post"]
)
def test_another_method_gives_no_score(site: Site, method: bytes) -> None:
    reply = ask(site.url, post(ANN, JSON, KEYED).replace(b"POST", method, 1))

    assert reply.status in {400, 405}
    assert reply.is_no_http or reply.headers["allow"] == "POST"
    assert ANN[:-1] not in reply.body
    assert site.signals.asked == []


@pytest.mark.parametrize("trace", [b"", b"\x80\\"])
def test_a_socket_of_the_web_is_refused(site: Site, trace: bytes) -> None:
    upgrade = [
        b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"traceparent: " + trace,
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]  # fmt: skip

    assert ask(site.url, get(b"/predict", *upgrade), connection=b"Upgrade").status == 403


@pytest.mark.parametrize(
    "path",
    [
        b"/static_content/..%2f..%2f..%2fapp.py", b"/static_content//etc/passwd",
        b"/static_content/%00", b"/static_content/" + b"a" * 5000, b"/" + b"a" * 20_000,
        b"/static_content", b"/livez/", b"/docs.json/", b"/x%0d%0aSet-Cookie:%20a=b", b"/%ff%fe",
    ],
)  # fmt: skip
def test_no_other_path_leads_anywhere(site: Site, path: bytes) -> None:
    reply = ask(site.url, get(path))

    assert (reply.status, code(reply)) == (404, "not_found")
    assert not {"location", "set-cookie"} & set(reply.headers)


@pytest.mark.parametrize(
    "name", [b"traceparent", b"tracestate", b"baggage", b"User-Agent", b"Host"]
)
@pytest.mark.parametrize("value", [b"\xff\xfe", b"\x80\\", b"\\x", b"%", b"a" * 10_000, b""])
def test_no_header_makes_it_fail(site: Site, name: bytes, value: bytes) -> None:
    head = name + b": " + value

    assert ask(site.url, get(b"/livez", head)).status in {200, 400}
    assert code(ask(site.url, post(ANN, JSON, KEYED, head))) in {"scored", NO_HTTP}


@pytest.mark.parametrize(
    "path", [b"/", b"/livez", b"/readyz", b"/docs.json", b"/nowhere", b"/predict"]
)
def test_headers_say_nothing_of_what_is_inside_and_forbid_what_is_not_needed(
    site: Site, path: bytes
) -> None:
    reply = ask(site.url, get(path))
    text = " ".join(f"{name}: {value}" for name, value in reply.headers.items()).lower()

    assert "bentoml" not in text
    assert "python" not in text
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.status >= 400 or "script-src 'self'" in reply.headers["content-security-policy"]


def test_who_claims_to_be_others_is_still_one_client(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy appends the address that it sees to whatever it was told."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    claimed = [b"1.1.1.%d, 9.9.9.9" % last for last in range(4)]
    with (
        serving(StandIn(visitors={}).app) as signals,
        service_over_http(
            champion,
            tmp_path,
            SP_SANDBOX_URL=signals,
            SP_SANDBOX_TOKEN=SECRET,
            SIGNALS_TIMEOUT_MS="1500",
            PREDICT_RATE_LIMIT="2",
        ) as url,
    ):
        codes = [code(ask(url, post(ANN, JSON, b"X-Forwarded-For: " + each))) for each in claimed]
        another = code(ask(url, post(ANN, JSON, b"X-Forwarded-For: 9.9.9.9, 8.8.8.8")))

    assert codes == ["scored", "scored", "rate_limited", "rate_limited"]
    assert another == "scored"
