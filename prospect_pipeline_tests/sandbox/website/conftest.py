"""A real Chromium, the website, and a stand-in for the services behind it, all on loopback."""

import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from prospect_pipeline.sandbox.website import WebsiteSettings, build_website
from prospect_pipeline_tests.sandbox.conftest import serving
from prospect_pipeline_tests.sandbox.website.services import Services

WAIT_SECONDS = 60


@dataclass
class Site:
    """The website's address, and the services that its pages talk to."""

    url: str
    services: Services


@pytest.fixture
def site() -> Iterator[Site]:
    services = Services()
    with serving(services.app()) as behind:
        settings = WebsiteSettings(behind, behind, behind, score_seconds=1)
        with serving(build_website(settings)) as url:
            yield Site(url, services)
            services.closing = True


@pytest.fixture
def browser(chromium: Any, site: Site) -> Iterator[Any]:
    """The browser, wide and light, as it is for somebody who never came before."""
    resize(chromium, 1440, 900)
    prefer(chromium, scheme="light")
    chromium.get_log("browser")
    yield chromium
    chromium.get(f"{site.url}/health")
    chromium.execute_script("sessionStorage.clear(); localStorage.clear()")
    chromium.delete_all_cookies()
    chromium.get("about:blank")


def resize(browser: Any, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(browser: Any, scheme: str = "light", motion: str = "no-preference") -> None:
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": motion},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def until(condition: Callable[[], Any]) -> Any:
    """Return what the condition gives once that is something."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if given := condition():
            return given
        time.sleep(0.05)
    pytest.fail(f"never came true: {inspect.getsource(condition).strip()}")


def text(browser: Any, selector: str) -> str:
    """Return the text of the first such element, or nothing where there is none."""
    script = "return document.querySelector(arguments[0])?.textContent ?? ''"
    return str(browser.execute_script(script, selector))


def press(browser: Any, key: str, times: int = 1) -> None:
    """Press a key as the keyboard would: wherever the focus is."""
    for _ in range(times):
        browser.switch_to.active_element.send_keys(key)
