"""The whole loop: a person in a real browser, and everything that follows from what they do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from snowplow_signals import SignalsSandbox

from prospect_pipeline.attributes import prospect
from prospect_pipeline.settings import DefinitionSettings, TrainingSettings
from prospect_pipeline.warehouse.base import DatasetRequest
from prospect_pipeline.warehouse.duckdb import DuckDBWarehouse
from prospect_pipeline_tests.sandbox.website.conftest import text, until
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


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Everything, as `make run` starts it: on the demo's events, by the wall clock."""
    folder = tmp_path_factory.mktemp("loop")
    with staying(start(folder, "--stay"), folder / "data" / "run.json") as (addresses, _):
        yield folder / "data", addresses


def test_what_a_person_does_is_one_and_the_same_everywhere(
    chromium: Any, system: tuple[Path, dict[str, str]]
) -> None:
    data, addresses = system
    browser, site = chromium, addresses["website"]
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": KEEP_LOG})
    signals = SignalsSandbox(api_url=addresses["signals"], sandbox_token=addresses["token"])

    def scored() -> float:
        return float(text(browser, '[data-show="score"]').removesuffix("%").strip() or "nan")

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

    visitor = browser.execute_script("return document.cookie.match(/_sp_id[^=]*=([^.]+)/)[1]")

    def served() -> dict[str, Any]:
        return dict(signals.get_service_attributes(SERVICE.name, "domain_userid", visitor))

    until(lambda: served()["num_conversions_l7d"] == 1)
    browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")

    def logged(title: str) -> Any:
        lines = browser.execute_script("return window.logged")
        found = [line for line in lines if line and str(line[0]).startswith(title)]
        return found[-1] if found else None

    def agreed() -> bool:
        """Whether console and service have caught up with what Signals says."""
        line = logged("Attributes: ")
        return line is not None and {n: line[1].get(n) for n in NAMES} == {
            n: served()[n] for n in NAMES
        }

    browser.execute_script("ProspectScore.ask()")
    until(agreed)
    values = served()
    answer = requests.post(
        f"{addresses['predict']}/predict", json={"domain_userid": visitor}, timeout=10
    ).json()
    own = data / "anchors.csv"
    now = datetime.now(UTC)
    pd.DataFrame({"domain_userid": [visitor], "anchor_ts": [now], "label": [0]}).to_csv(own)
    settings = TrainingSettings.load(cohort="all", as_of=now.isoformat())
    warehouse = DuckDBWarehouse(data / "events")
    [trained] = warehouse.training_set(
        DatasetRequest(GROUP, settings, "attributes", own)
    ).table.to_pylist()
    [columns] = warehouse.training_set(
        DatasetRequest(GROUP, settings, "features", own)
    ).table.to_pylist()

    assert {n: trained[n] for n in NAMES} == {n: values[n] for n in NAMES}
    assert {n: answer["signals"][n] for n in NAMES} == {n: values[n] for n in NAMES}
    assert answer["scoring_attributes"].items() <= columns.items()
    assert logged("Prediction: ")[1:4:2] == [visitor, answer["score"]]
    until(lambda: abs(scored() - 100 * answer["score"]) < 0.051)
    assert values["num_pricing_views_l7d"] == 2
    assert values["first_mkt_medium_l30d"] == "cpc"
