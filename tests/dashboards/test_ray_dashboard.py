"""Ray's own dashboard, opened in a browser while a study runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.browser import Browser
from tests.conftest import REPOSITORY, running_ray

TEXT = "document.body.innerText.includes(arguments[0])"


@pytest.mark.slow
def test_rays_dashboard_shows_a_running_study_by_name(tiny_study: Path, browser: Browser) -> None:
    endless = ["--results", tiny_study.parent / "results", "--set", "trial.epochs=100000"]
    with running_ray("--include-dashboard=true", "--dashboard-port=0") as ray:
        command = ray.command(tiny_study, *endless)
        run = subprocess.Popen(command, cwd=REPOSITORY, env=ray.environment, stdout=subprocess.PIPE, text=True)
        try:
            assert run.stdout is not None
            line = next(line for line in run.stdout if line.startswith("Ray dashboard: "))
            assert "stands in the variable RAY_AUTH_TOKEN" in line
            token = ray.environment["RAY_AUTH_TOKEN"]
            assert token not in line
            url = re.findall(r"http://\S+", line)[0]
            browser.resize(1600, 1000)
            browser.open(f"{url}/#/jobs")
            browser.wait(TEXT, "Authentication Token Required")
            browser.driver.find_element(By.CSS_SELECTOR, "[role=dialog] input").send_keys(token)
            browser.driver.find_elements(By.CSS_SELECTOR, "[role=dialog] button")[-1].click()
            browser.wait("!document.querySelector('[role=dialog]')")
            browser.wait("[...document.querySelectorAll('td')].some(cell => cell.innerText === arguments[0])", "tiny")
            browser.open(f"{url}/#/actors")
            browser.wait(TEXT, "trials of tiny")
            browser.open(f"{url}/#/cluster")
            browser.wait(TEXT, "tiny: label noise 50%, mixup, α=1")
        finally:
            run.kill()
            run.wait()
