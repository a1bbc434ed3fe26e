"""A real Chromium, for whichever test wants one."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

INSTALL = "Debian: apt-get install chromium chromium-driver; then pip install selenium"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")


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
