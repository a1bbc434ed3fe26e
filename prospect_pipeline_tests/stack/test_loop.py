"""The whole loop: a person in a real browser, and everything that follows from what they do."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from snowplow_signals import (
    AttributeKeyIdentifiers,
    InterventionCriterion,
    InterventionInstance,
    RuleIntervention,
    SignalsSandbox,
)

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import Columns, DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.sandbox.website.conftest import resize, text, until
from prospect_pipeline_tests.stack.test_run import start, staying

pytestmark = pytest.mark.stack

GROUP = prospect.attribute_group(DefinitionSettings.load())
SERVICE = prospect.service(DefinitionSettings.load())
NAMES = [attribute.name for attribute in GROUP.attributes]
KEEP_LOG = """
window.logged = [];
const info = console.info, log = console.log;
console.info = (...all) => { logged.push(all); info(...all); };
console.log = (...all) => { logged.push(all); log(...all); };
"""


RECEIVED = "iglu:com.snowplowanalytics.signals/intervention_receive/jsonschema/1-0-0"
INSTANCE = "contexts_com_snowplowanalytics_signals_intervention_instance_1"
ANY_SCORE = {"PREDICT_INTERVENTION": "likely", "PREDICT_INTERVENTION_THRESHOLD": "0.0001"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Everything, as `make run` starts it: on the demo's events, by the wall clock.

    Signals is told of every visitor, since none has a score below the threshold.
    """
    folder = tmp_path_factory.mktemp("loop")
    process = start(folder, "--stay", **ANY_SCORE)
    with staying(process, folder / "data" / "run.json") as (addresses, _):
        yield folder / "data", addresses


@pytest.fixture
def browser(chromium: Any, system: tuple[Path, dict[str, str]]) -> Iterator[Any]:
    """The browser of somebody who never came before, with a console that is kept."""
    source = {"source": KEEP_LOG}
    added = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    resize(chromium, 1440, 900)
    yield chromium
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    chromium.get(f"{system[1]['website']}/health")
    chromium.execute_script("sessionStorage.clear(); localStorage.clear()")
    chromium.delete_all_cookies()
    chromium.get("about:blank")


def logged(browser: Any, title: str) -> list[Any]:
    """Return what the page has put on its console under a title."""
    lines = browser.execute_script("return window.logged")
    return [line for line in lines if line and str(line[0]).startswith(title)]


def visitor_of(browser: Any) -> str:
    return str(browser.execute_script("return document.cookie.match(/_sp_id[^=]*=([^.]+)/)[1]"))


def shown(browser: Any) -> str:
    """Return the words of all messages in the page's corner."""
    return text(browser, "#messages")


def received(addresses: dict[str, str], visitor: str) -> list[str]:
    """Return which interventions a visitor's pages have told the collector that they received."""
    good = requests.post(f"{addresses['signals']}/micro/good", json={"schema": RECEIVED}, timeout=5)
    events = [one["event"] for one in reversed(good.json())]
    return [
        json.loads(event[INSTANCE])[0]["name"]
        for event in events
        if event["domain_userid"] == visitor
    ]


def trained_on(data: Path, visitor: str, columns: Columns) -> dict[str, Any]:
    """Return what a model that is trained now is given of a visitor."""
    own, now = data / "anchors.csv", datetime.now(UTC)
    pd.DataFrame({"domain_userid": [visitor], "anchor_ts": [now], "label": [0]}).to_csv(own)
    settings = TrainingSettings.load(cohort="all", as_of=now.isoformat())
    request = DatasetRequest(GROUP, settings, columns, own)
    [row] = DuckDBWarehouse(data / "events").training_set(request).table.to_pylist()
    return dict(row)


def mark(browser: Any, signals: SignalsSandbox) -> None:
    """Push an intervention and wait until it is shown: what was told before it has come by then."""
    visitor = AttributeKeyIdentifiers({"domain_userid": [visitor_of(browser)]})
    pushed = InterventionInstance(name="mark", version=1)
    until(lambda: signals.push_intervention(visitor, pushed) == "success")
    until(lambda: "“mark”" in shown(browser))


def test_what_a_person_does_is_one_and_the_same_everywhere(
    browser: Any, system: tuple[Path, dict[str, str]]
) -> None:
    data, addresses = system
    site = addresses["website"]
    signals = SignalsSandbox(api_url=addresses["signals"], sandbox_token=addresses["token"])

    def scored() -> float:
        words = text(browser, '[data-show="score"]')
        return float(words.removesuffix("%")) if "%" in words else float("nan")

    def go(path: str) -> None:
        browser.get(site + path)
        until(lambda: "%" in text(browser, '[data-show="score"]'))

    go("/?utm_medium=cpc&utm_campaign=spring")
    first = scored()
    go("/pricing")
    go("/product")
    go("/pricing")
    go("/demo")
    for name, value in {"name": "Ada", "email": "ada@example.com"}.items():
        browser.find_element("id", name).send_keys(value)
    until(lambda: scored() > 2 * first)
    go("/")  # leaves without sending
    go("/demo")
    for name, value in {
        "name": "Ada",
        "email": "a@example.com",
        "company": "H",
        "size": "9",
    }.items():
        browser.find_element("id", name).send_keys(value)
    browser.find_element("css selector", "#demo-form button").click()

    visitor = visitor_of(browser)

    def served() -> dict[str, Any]:
        return dict(signals.get_service_attributes(SERVICE.name, "domain_userid", visitor))

    until(lambda: served()["num_conversions_l7d"] == 1)
    browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")

    def agreed() -> bool:
        """Whether console and service have caught up with what Signals says."""
        lines = logged(browser, "Attributes: ")
        return bool(lines) and {n: lines[-1][1].get(n) for n in NAMES} == {
            n: served()[n] for n in NAMES
        }

    def looked_at() -> tuple[Any, ...] | None:
        """Everything that knows the visitor, or nothing where a page ping came in between."""
        browser.execute_script("ProspectScore.ask()")
        until(agreed)
        values = served()
        answer = requests.post(
            f"{addresses['predict']}/predict", json={"domain_userid": visitor}, timeout=10
        ).json()
        trained, columns = (trained_on(data, visitor, kind) for kind in ("attributes", "features"))
        predicted = logged(browser, "Prediction: ")[-1]
        return (values, answer, trained, columns, predicted) if agreed() else None

    values, answer, trained, columns, predicted = until(looked_at)
    assert {n: trained[n] for n in NAMES} == {n: values[n] for n in NAMES}
    assert {n: answer["signals"][n] for n in NAMES} == {n: values[n] for n in NAMES}
    assert answer["scoring_attributes"].items() <= columns.items()
    assert predicted[1:4:2] == [visitor, answer["score"]]
    until(lambda: abs(scored() - 100 * answer["score"]) < 0.051)
    assert values["num_pricing_views_l7d"] == 2
    assert values["first_mkt_medium_l30d"] == "cpc"


def test_a_rule_that_comes_true_in_the_browser_is_shown_there_once(
    browser: Any, system: tuple[Path, dict[str, str]]
) -> None:
    site, signals_url = system[1]["website"], system[1]["signals"]
    signals = SignalsSandbox(api_url=signals_url, sandbox_token=system[1]["token"])
    pricing = f"{GROUP.name}:num_pricing_views_l7d"
    twice = InterventionCriterion(attribute=pricing, operator=">=", value=2)
    keen = RuleIntervention(name="keen", owner="a@example.com", criteria=twice)
    signals.publish([keen])

    def views() -> Any:
        served = signals.get_service_attributes(SERVICE.name, "domain_userid", visitor_of(browser))
        return served["num_pricing_views_l7d"]

    browser.get(f"{site}/pricing")
    until(lambda: views() == 1)
    mark(browser, signals)
    assert "“keen”" not in shown(browser)
    browser.get(f"{site}/pricing")
    until(lambda: "“keen” (version 1).num_pricing_views_l7d2" in shown(browser))
    browser.get(f"{site}/pricing")
    until(lambda: views() == 3)
    mark(browser, signals)

    assert "“keen”" not in shown(browser)
    until(lambda: received(system[1], visitor_of(browser)).count("mark") == 2)
    told = [name for name in received(system[1], visitor_of(browser)) if name != "likely"]
    assert told == ["mark", "keen", "mark"]
    signals.unpublish([keen])


def test_a_high_score_is_shown_in_the_browser_once(
    browser: Any, system: tuple[Path, dict[str, str]]
) -> None:
    """The service tells Signals, Signals tells the page."""
    _, addresses = system
    signals = SignalsSandbox(api_url=addresses["signals"], sandbox_token=addresses["token"])

    browser.get(addresses["website"])
    until(lambda: "“likely” (version 1).score" in shown(browser))
    told = text(browser, "#messages dd")
    visitor = visitor_of(browser)
    assert told in {f"{line[3]:.4f}" for line in logged(browser, "Prediction: ")}
    browser.get(f"{addresses['website']}/product")
    until(lambda: len(logged(browser, "Prediction: ")) >= 2)
    mark(browser, signals)

    assert "“likely”" not in shown(browser)
    until(lambda: "mark" in received(addresses, visitor))
    assert received(addresses, visitor) == ["likely", "mark"]
