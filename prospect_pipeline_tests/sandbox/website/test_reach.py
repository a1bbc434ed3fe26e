"""That everyone can use the website: on a phone, by keyboard, in the dark, with weak eyes."""

from typing import Any

import pytest

from prospect_pipeline.sandbox.website.pages import PAGES
from prospect_pipeline_tests.sandbox.website.conftest import (
    Site,
    prefer,
    press,
    resize,
    text,
    until,
)

ESCAPE, ENTER, TAB = "\ue00c", "\ue007", "\ue004"
pytestmark = pytest.mark.stack

# Elements with text of their own whose contrast with the nearest ground is below WCAG's AA.
PALE = """
const channels = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return { rgb: [r, g, b], a };
};
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const { rgb, a } = channels(getComputedStyle(at).backgroundColor);
    if (a > 0.9) return rgb;
  }
  return [255, 255, 255];
};
return [...document.querySelectorAll('body *:not(svg *)')].filter((element) => {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return own && element.checkVisibility() && !element.matches('option, .unseen');
}).map((element) => {
  const style = getComputedStyle(element);
  const [a, b] = [light(channels(style.color).rgb), light(ground(element))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  return { ratio: (a + 0.05) / (b + 0.05), needed: large ? 3 : 4.5, words: element.textContent };
}).filter(({ ratio, needed }) => ratio < needed)
  .map(({ ratio, words }) => `${ratio.toFixed(2)}: ${words.trim().slice(0, 40)}`);
"""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def focused(browser: Any) -> str:
    return str(browser.execute_script("return document.activeElement.textContent.trim()"))


def test_nothing_is_wider_than_a_phone(browser: Any, site: Site) -> None:
    resize(browser, 360, 740)
    site.services.score = 0.9
    for page in PAGES:
        browser.get(site.url + page.path)
        until(lambda: text(browser, "#offer h2"))
        assert browser.execute_script(OVERFLOW) == 0, page.path
        browser.find_element("css selector", ".panel-bar").click()
        assert browser.find_element("id", "panel-body").is_displayed()
        assert browser.execute_script(OVERFLOW) == 0, page.path
        browser.find_element("css selector", ".panel-bar").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, site: Site, scheme: str) -> None:
    prefer(browser, scheme, motion="reduce")
    site.services.score = 0.9
    pale: dict[str, list[str]] = {}
    for path in [*(page.path for page in PAGES), "/not-there"]:
        browser.get(site.url + path)
        until(lambda: text(browser, "#offer h2"))
        pale[path] = browser.execute_script(PALE)

    assert {path: found for path, found in pale.items() if found} == {}


def test_dark_mode_is_dark(browser: Any, site: Site) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.get(site.url)
    assert browser.execute_script(ground) == "rgb(243, 245, 241)"

    prefer(browser, "dark")
    assert browser.execute_script(ground) == "rgb(8, 25, 28)"


def test_nothing_moves_where_less_motion_is_asked_for(browser: Any, site: Site) -> None:
    browser.get(site.url)
    until(lambda: text(browser, '[data-show="score"]') == "12.0 %")
    moving = "return getComputedStyle(document.querySelector('.panel-dot')).animationName"
    assert browser.execute_script(moving) == "beat"

    prefer(browser, motion="reduce")
    assert browser.execute_script(moving) == "none"


def test_the_first_tab_leads_past_the_menu(browser: Any, site: Site) -> None:
    browser.get(site.url)
    press(browser, TAB)
    assert focused(browser) == "Skip to the content"
    press(browser, ENTER)
    press(browser, TAB)

    inside = "return document.querySelector('main').contains(document.activeElement)"
    assert browser.execute_script(inside)


def test_whatever_has_the_focus_shows_it(browser: Any, site: Site) -> None:
    browser.get(f"{site.url}/demo")
    outlines = []
    for _ in range(14):
        press(browser, TAB)
        outlines.append(
            browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
        )

    assert set(outlines) == {"solid"}


def test_the_menu_of_a_phone_works_by_keyboard(browser: Any, site: Site) -> None:
    resize(browser, 360, 740)
    browser.get(site.url)
    menu = browser.find_element("id", "menu")
    assert not menu.is_displayed()

    browser.execute_script("document.querySelector('.menu-button').focus()")
    press(browser, ENTER)
    assert menu.is_displayed()
    press(browser, TAB)
    assert focused(browser) == "Product"
    press(browser, ESCAPE)
    assert not menu.is_displayed()
    assert focused(browser) == "Menu"


def test_the_panel_folds_by_keyboard_and_stays_so(browser: Any, site: Site) -> None:
    browser.get(site.url)
    assert browser.find_element("id", "panel-body").is_displayed()
    browser.execute_script("document.querySelector('[data-do=consent]').focus()")
    press(browser, ESCAPE)
    assert not browser.find_element("id", "panel-body").is_displayed()
    assert "Live score" in focused(browser)

    browser.get(f"{site.url}/pricing")
    assert not browser.find_element("id", "panel-body").is_displayed()
    bar = browser.find_element("css selector", ".panel-bar")
    assert bar.get_attribute("aria-expanded") == "false"
