"""The website in a real Chromium: what is tracked, and what is made of a score."""

import re
from typing import Any

import pytest

from prospect_pipeline.sandbox.website.pages import PAGES
from prospect_pipeline_tests.sandbox.website.conftest import Site, press, text, until

ESCAPE, ENTER, TAB = "\ue00c", "\ue007", "\ue004"
HOSTILE = "<img src=x onerror=\"window.hacked='yes'\"><script>window.hacked='yes'</script>"
pytestmark = pytest.mark.stack


def messages(browser: Any, level: str | None = None) -> list[str]:
    entries = browser.get_log("browser")
    return [entry["message"] for entry in entries if level is None or entry["level"] == level]


def panel(browser: Any, part: str) -> str:
    return text(browser, f'[data-show="{part}"]')


def test_every_page_loads_without_an_error_and_is_scored(browser: Any, site: Site) -> None:
    for page in PAGES:
        before = len(site.services.asked)
        browser.get(site.url + page.path)
        # Also after many pages: a browser keeps left pages, and with them their connections.
        until(lambda before=before: len(site.services.asked) > before)

    assert messages(browser, "SEVERE") == []
    # Once each: a tracker sends again what was not acknowledged before its page was left.
    views = {event["eid"]: event["url"] for event in site.services.events if event["e"] == "pv"}
    assert sorted(views.values()) == sorted(site.url + page.path for page in PAGES)


def test_views_and_pings_are_tracked(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/pricing?utm_campaign=autumn")
    until(lambda: "pv" in site.services.names())
    browser.execute_script("window.scrollTo(0, 600)")
    until(lambda: "pp" in site.services.names())

    view = next(event for event in site.services.events if event["e"] == "pv")
    assert view["aid"] == "website"
    assert view["url"] == f"{site.url}/pricing?utm_campaign=autumn"
    assert view["tna"] == "sp"
    assert re.fullmatch(r"[0-9a-f-]{36}", view["duid"])
    assert "web_page" in view["co"]


def test_a_form_is_tracked_without_what_a_person_wrote(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/demo")
    values = {"name": "Ada Byron", "email": "ada@example.com", "company": "Halle", "size": "9"}
    for name, value in values.items():
        browser.find_element("id", name).send_keys(value)
    until(lambda: "change_form" in site.services.names())
    browser.find_element("css selector", "#demo-form button").click()
    until(lambda: "submit_form" in site.services.names())

    assert text(browser, "#thanks h2") == "Your slot is held."
    assert browser.find_element("id", "thanks").is_displayed()
    assert not browser.find_element("id", "demo-form").is_displayed()
    assert browser.current_url == f"{site.url}/demo"
    sent = str(list(site.services.described()))
    assert "focus_form" in sent
    assert "Halle" in sent
    assert "Ada" not in sent
    assert "ada@" not in sent


def test_the_clip_is_tracked(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/tour")
    browser.find_element("id", "tour").click()
    until(lambda: "play_event" in site.services.names())
    until(lambda: "percent_progress_event" in site.services.names())
    browser.find_element("id", "tour").click()
    until(lambda: "pause_event" in site.services.names())


def test_the_score_is_in_the_panel_and_in_the_console(browser: Any, site: Site) -> None:
    site.services.signals = {"num_page_views_l7d": 1, "num_apps_l7d": ["website"], "gone": None}
    site.services.reasons = [
        {"feature": "num_page_views_l7d", "value": 1, "contribution": 0.25},
        {"feature": "day_of_week", "value": 6, "contribution": -1.5},
    ]
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "12.0 %")

    assert panel(browser, "visitor") == site.services.asked[0]["domain_userid"]
    assert "prospect_scoring version 7" in panel(browser, "status")
    assert panel(browser, "attributes") == 'num_page_views_l7d1num_apps_l7d["website"]gonenull'
    assert (
        panel(browser, "reasons") == "day_of_week = Saturday\u22121.50num_page_views_l7d = 1+0.25"
    )
    logged = messages(browser)
    visitor = site.services.asked[0]["domain_userid"]
    assert any(f'"Prediction: " "{visitor}" " - " 0.12' in line for line in logged)
    assert any('"Attributes: "' in line for line in logged)


def test_what_changed_stands_out_from_page_to_page(browser: Any, site: Site) -> None:
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "12.0 %")
    site.services.score, site.services.signals = 0.2, {"num_page_views_l7d": 2}
    browser.get(f"{site.url}/product")
    until(lambda: panel(browser, "score") == "20.0 %")

    assert panel(browser, "attributes") == "num_page_views_l7d2"
    points = "document.querySelector('.chart-line').getAttribute('points').split(' ').length"
    assert browser.execute_script(f"return {points}") >= 2


def test_an_event_is_followed_by_a_score_at_once(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/demo")
    until(lambda: panel(browser, "score") == "12.0 %")
    browser.execute_script(
        "const { predict_url } = JSON.parse(document.getElementById('settings').textContent);"
        "ProspectScore.start({ endpoint: `${predict_url}/predict`, seconds: 999, visitor: 'v' })"
    )
    until(lambda: site.services.asked[-1]["domain_userid"] == "v")
    before = len(site.services.asked)
    browser.find_element("id", "company").click()
    until(lambda: len(site.services.asked) > before)


def test_above_the_threshold_an_offer_appears_and_escape_closes_it_for_good(
    browser: Any, site: Site
) -> None:
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "12.0 %")
    assert text(browser, "#offer") == ""

    site.services.score = 0.42
    until(lambda: text(browser, "#offer h2"))
    assert "Prospect is likely to convert!" in str(messages(browser))
    press(browser, ESCAPE)
    assert text(browser, "#offer") == ""

    browser.get(f"{site.url}/pricing")
    until(lambda: panel(browser, "score") == "42.0 %")
    assert text(browser, "#offer") == ""


def test_the_offer_can_be_closed_by_its_button(browser: Any, site: Site) -> None:
    site.services.score = 0.9
    browser.get(site.url)
    until(lambda: text(browser, "#offer h2"))
    browser.execute_script("document.querySelector('#offer a').focus()")
    press(browser, TAB)
    press(browser, ENTER)

    assert text(browser, "#offer") == ""
    assert browser.switch_to.active_element.get_attribute("id") == "content"


def test_an_intervention_is_shown_until_it_is_dismissed(browser: Any, site: Site) -> None:
    site.services.interventions.append(
        {
            "intervention_id": "i-1",
            "name": "welcome_back",
            "version": 2,
            "attributes": {"num_page_views_l7d": 3, "html": HOSTILE},
            "target_attribute_key": {"name": "domain_userid", "id": "v"},
        }
    )
    browser.get(site.url)
    until(lambda: "welcome_back" in text(browser, ".message"))
    assert HOSTILE in text(browser, ".message dl")
    until(lambda: "intervention_handle" in site.services.names())
    press(browser, ESCAPE)

    handled = site.services.names().count("intervention_handle")
    browser.get(f"{site.url}/product")
    until(lambda: site.services.names().count("intervention_handle") > handled)
    assert text(browser, ".message") == ""
    assert browser.execute_script("return window.hacked") is None


def test_values_that_look_like_markup_stay_text(browser: Any, site: Site) -> None:
    site.services.signals = {HOSTILE: HOSTILE, "list": [HOSTILE]}
    site.services.reasons = [{"feature": HOSTILE, "value": HOSTILE, "contribution": 1.0}]
    browser.get(f"{site.url}/?utm_campaign={HOSTILE}")
    until(lambda: HOSTILE in panel(browser, "attributes"))

    assert HOSTILE in panel(browser, "reasons")
    inside = "return document.querySelectorAll('#panel img, #panel script').length"
    assert browser.execute_script(inside) == 0
    assert browser.execute_script("return window.hacked") is None


def test_no_score_is_shown_while_there_is_none_and_why(browser: Any, site: Site) -> None:
    why = "No score at the moment. No model is loaded yet. Asks again in 2 s."
    site.services.score = 0.42
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "42.0 %")
    site.services.failure = (503, {"Retry-After": "2"})
    until(lambda: panel(browser, "status") == why)

    assert (panel(browser, "score"), panel(browser, "mini"), panel(browser, "change")) == (
        "\u2013", "\u2013", ""
    )  # fmt: skip
    assert not browser.find_element("css selector", '[data-show="attributes"]').is_displayed()
    assert not browser.find_elements("css selector", ".is-above")
    browser.get(f"{site.url}/product")
    assert panel(browser, "score") == "\u2013"
    until(lambda: panel(browser, "status") == why)

    site.services.failure = None
    until(lambda: panel(browser, "score") == "42.0 %")
    assert browser.find_element("css selector", '[data-show="attributes"]').is_displayed()


def test_a_service_that_cannot_be_reached_is_said_in_words(browser: Any, site: Site) -> None:
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "12.0 %")
    browser.execute_script(
        "ProspectScore.start({ endpoint: 'http://127.0.0.1:9/predict', seconds: 9, visitor: 'v' })"
    )
    until(lambda: "No score at the moment" in panel(browser, "status"))

    assert "The scoring service does not answer. Asks again in" in panel(browser, "status")


def test_without_consent_nothing_is_asked(browser: Any, site: Site) -> None:
    browser.get(site.url)
    until(lambda: panel(browser, "score") == "12.0 %")
    switch = browser.find_element("css selector", '[data-do="consent"]')
    switch.click()
    assert switch.get_attribute("aria-checked") == "false"

    browser.get(f"{site.url}/pricing")
    asked = len(site.services.asked)
    until(lambda: site.services.names().count("pv") == 2)
    browser.execute_script("window.scrollTo(0, 600)")
    until(lambda: "pp" in site.services.names())  # five seconds, of which each would be one score
    assert len(site.services.asked) == asked
    browser.find_element("css selector", '[data-do="consent"]').click()
    until(lambda: len(site.services.asked) > asked)


def test_one_can_start_as_a_new_visitor(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/pricing")
    until(lambda: panel(browser, "score") == "12.0 %")
    first = panel(browser, "visitor")
    browser.find_element("css selector", '[data-do="forget"]').click()
    until(lambda: site.services.asked[-1]["domain_userid"] != first)

    assert browser.current_url == f"{site.url}/"
