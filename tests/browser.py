"""A headless Chromium that tests open pages in, as a person would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

INSTALL = "apt-get install chromium chromium-driver"


class Browser:
    """One tab of a headless Chromium. ``driver`` is Selenium's own handle of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def resize(self, width: int, height: int = 900, *, phone: bool = False) -> None:
        """Give the tab a size in CSS pixels; a phone has a touch screen, and honours the page's viewport."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Prefer a ``light`` or ``dark`` page."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, url: str) -> None:
        """Open a page, forgetting what earlier ones printed and requested; return when it has loaded."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(url)

    def wait(self, condition: str, *arguments: Any, seconds: float = 60) -> Any:
        """Return the value of a JavaScript expression once it is true; fail after so many seconds."""
        return WebDriverWait(self.driver, seconds, 0.05).until(
            lambda _: self.evaluate(condition, *arguments), condition
        )

    def evaluate(self, expression: str, *arguments: Any) -> Any:
        """Return the value of a JavaScript expression; ``arguments[0]`` and so on are the arguments."""
        return self.driver.execute_script(f"return ({expression})", *arguments)

    def problems(self) -> list[str]:
        """Return the warnings and errors that pages printed on the console since the last call."""
        return [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the URLs that pages asked for since the last call, those inside of the page itself left out."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """Start Debian's Chromium with a fresh profile below ``folder``."""
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        pytest.fail(f"{' and '.join(missing)} not found; install with: {INSTALL}", pytrace=False)
    options = webdriver.ChromeOptions()
    options.binary_location = str(paths["chromium"])
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(str(paths["chromedriver"])))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
