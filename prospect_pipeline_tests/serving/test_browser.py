"""A real Chromium: whose pages may ask for a score, what they may read, and the API's own page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.serving.services import SECRET, service_over_http, until
from prospect_pipeline_tests.serving.standin import ANN, StandIn

KEY = "a-key-that-nobody-guesses"
JSON = {"Content-Type": "application/json"}
ANSWERED = """
const [url, options, done] = arguments;
fetch(url, options).then(
  async (reply) => done({
    status: reply.status,
    type: reply.type,
    retry_after: reply.headers.get('Retry-After'),
    said: reply.type === 'opaque' ? null : await reply.json(),
  }),
  (error) => done({ blocked: String(error) }),
);
"""
UNSAID = """
const [url, kind, done] = arguments;
const body = new Blob(['{"domain_userid": "eve"}'], { type: kind });
fetch(url, { method: 'POST', mode: 'no-cors', body })
  .then((reply) => done(reply.type), (error) => done('blocked'));
"""
BEACON = """
const [url, kind] = arguments;
return navigator.sendBeacon(url, new Blob(['{"domain_userid": "eve"}'], { type: kind }));
"""
pytestmark = pytest.mark.stack


@dataclass
class Site:
    """A service, the Signals behind it, and two pages: one whose origin it lists, and another."""

    url: str
    signals: StandIn
    listed: str
    other: str


def page() -> FastAPI:
    app = FastAPI()
    app.get("/")(
        lambda: HTMLResponse("<!DOCTYPE html><title>A page</title><link rel=icon href=data:,>")
    )
    return app


@pytest.fixture(scope="module")
def site_with(champion: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Starts a service whose settings may name the ``listed`` page."""

    @contextmanager
    def started(**variables: str) -> Iterator[Site]:
        signals = StandIn(visitors={"ann": ANN})
        working = tmp_path_factory.mktemp("working")
        with serving(signals.app) as behind, serving(page()) as listed, serving(page()) as other:
            given = {
                "SP_SANDBOX_URL": behind,
                "SP_SANDBOX_TOKEN": SECRET,
                "SIGNALS_TIMEOUT_MS": "1500",
                "SIGNALS_BREAKER_FAILURES": "1000",
            } | {name: value.format(listed=listed) for name, value in variables.items()}
            with service_over_http(champion, working, **given) as url:
                yield Site(url, signals, listed, other)

    return started


@pytest.fixture(scope="module")
def shared(site_with: Callable[..., Any]) -> Iterator[Site]:
    with site_with(PREDICT_CORS_ORIGINS="{listed}", PREDICT_API_KEY=KEY) as site:
        yield site


@pytest.fixture
def site(shared: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    shared.signals.asked.clear()
    monkeypatch.setattr(shared.signals, "status", 200)
    return shared


def ask(browser: Any, site: Site, body: str = '{"domain_userid": "ann"}', **headers: str) -> Any:
    """Have the page that is shown ask for a score, and return what it may read of the answer."""
    options = {"method": "POST", "headers": JSON | headers, "body": body}
    return browser.execute_async_script(ANSWERED, f"{site.url}/predict", options)


def test_a_listed_page_reads_its_visitors_score(chromium: Any, site: Site) -> None:
    chromium.get(site.listed)
    found = ask(chromium, site, Authorization=f"Bearer {KEY}")

    assert (found["status"], found["type"]) == (200, "cors")
    assert found["said"]["domain_userid"] == "ann"
    assert site.signals.asked == [["ann"]]


def test_a_listed_page_reads_what_is_wrong_and_when_to_ask_again(chromium: Any, site: Site) -> None:
    chromium.get(site.listed)
    bad = ask(chromium, site, "{}", **{"X-API-Key": KEY})
    unknown = ask(chromium, site)
    site.signals.status = 500
    away = ask(chromium, site, **{"X-API-Key": KEY})

    codes = [(found["status"], found["said"]["error"]["code"]) for found in (bad, unknown, away)]
    assert codes == [(400, "bad_request"), (401, "unauthorized"), (503, "signals_unavailable")]
    assert [found["retry_after"] for found in (bad, unknown, away)] == [None, None, "1"]


def test_another_page_is_blocked_before_anything_is_scored(chromium: Any, site: Site) -> None:
    chromium.get(site.other)
    found = ask(chromium, site, Authorization=f"Bearer {KEY}")

    assert found.keys() == {"blocked"}
    assert site.signals.asked == []


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json"])
def test_another_page_cannot_have_a_score_made_that_it_does_not_read(
    chromium: Any, site_with: Callable[..., Any], kind: str
) -> None:
    with site_with(PREDICT_CORS_ORIGINS="{listed}") as site:
        chromium.get(site.other)
        chromium.execute_async_script(UNSAID, f"{site.url}/predict", kind)
        chromium.execute_script(BEACON, f"{site.url}/predict", kind)
        chromium.get(site.listed)
        assert ask(chromium, site)["status"] == 200

    assert site.signals.asked == [["ann"]]


def test_every_page_may_ask_where_all_origins_are_listed(
    chromium: Any, site_with: Callable[..., Any]
) -> None:
    with site_with(PREDICT_CORS_ORIGINS="*") as site:
        for each in (site.listed, site.other):
            chromium.get(each)
            assert ask(chromium, site, Authorization="Bearer of-nothing")["status"] == 200

    assert site.signals.asked == [["ann"], ["ann"]]


def test_no_page_may_ask_where_none_is_listed(chromium: Any, site_with: Callable[..., Any]) -> None:
    with site_with() as site:
        for each in (site.listed, site.other):
            chromium.get(each)
            assert ask(chromium, site).keys() == {"blocked"}

    assert site.signals.asked == []


def test_the_apis_own_page_shows_it_and_loads_nothing_from_elsewhere(
    chromium: Any, site: Site
) -> None:
    chromium.get_log("browser")  # what there was before
    chromium.get(f"{site.url}/")
    count = "return document.querySelectorAll('.opblock').length"
    until(lambda: chromium.execute_script(count) == 5)
    loaded = chromium.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )

    assert f"{site.url}/docs.json" in loaded
    assert [each for each in loaded if not each.startswith((site.url, "data:"))] == []
    assert chromium.execute_script("return window.dataLayer === undefined")
    assert chromium.get_log("browser") == []
    assert chromium.title == "prospect_scoring"
    text = chromium.execute_script("return document.body.innerText")
    assert text.startswith("prospect_scoring")
    assert "/predict_batch" in text
    assert "Authorize" in text
    assert "Unable to render" not in text
