"""The order of the tests, and a real Chromium for whichever test wants one."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

INSTALL = "Debian: apt-get install chromium chromium-driver; then pip install selenium"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the whole systems: they take longest, and one core would wait for them alone."""
    items.sort(key=lambda item: item.get_closest_marker("stack") is None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    driver, binary = shutil.which("chromedriver"), shutil.which("chromium")
    if not driver or not binary:
        pytest.skip(f"chromium or chromedriver is missing; {INSTALL}")
    webdriver = pytest.importorskip("selenium.webdriver", reason=f"selenium is missing; {INSTALL}")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()
