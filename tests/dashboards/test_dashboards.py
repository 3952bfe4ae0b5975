"""The dashboards of a real study: Ray's own in a browser, ours on a real Prometheus that scrapes a real Ray."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from selenium.webdriver.common.by import By

from mixup_study.cluster.session import ENVIRONMENT
from tests.browser import Browser
from tests.conftest import REPOSITORY, RunningRay, run_command, running_ray

FOLDER = REPOSITORY / "dashboards"
DASHBOARD = FOLDER / "grafana" / "dashboards" / "mixup_study.json"
ALERTS = FOLDER / "prometheus" / "alerts.yml"
HERE = Path(__file__).parent

STUDY = """\
name: watched
trial:
  {dataset: digits, train_size: 400, augment: false, model: preact_resnet18, width: 4, epochs: 60, batch_size: 50,
   lr: 0.1}
grid: {label_noise: [0.5], seed: [0]}
arms:
  too large: {train_size: 5000}  # fails at once, so that the alert has time to fire
  ERM: {}
  mixup: {method: mixup, alpha: [1, 8]}
checkpoint_seconds: 0
table:
  title: A study to watch
  rows: [label_noise, arm]
  columns: [{title: last, metric: test_error_last}]
  pick: {lowest: test_error_last}
"""


def until(condition: Callable[[], Any], what: str, seconds: float = 180) -> Any:
    """Return what is true in the end."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)
    return value


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server, asked through its HTTP API."""

    url: str
    begun: float

    def get(self, path: str, **parameters: Any) -> Any:
        opener = build_opener(ProxyHandler({}))
        with opener.open(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def now(self, query: str) -> list[Any]:
        """The series of a query at this moment."""
        result: list[Any] = self.get("query", query=query)["result"]
        return result

    def ever(self, query: str) -> list[Any]:
        """The series of a query since the server started, as a panel draws them."""
        result: list[Any] = self.get("query_range", query=query, start=self.begun, end=time.time(), step=1)["result"]
        return result

    def answers(self) -> bool:
        try:
            self.now("vector(1)")
        except URLError:
            return False
        return True


@pytest.fixture(scope="module")
def program() -> Callable[[str], str]:
    """Find a program of Debian's package prometheus."""

    def find(name: str) -> str:
        found = shutil.which(name)
        return found or pytest.fail(f"{name} not found; install with: apt-get install prometheus", pytrace=False)

    return find


@pytest.fixture(scope="module")
def ray() -> Iterator[RunningRay]:
    """A Ray cluster with a dashboard, which exports its metrics twice as often as by default."""
    ports = ("--dashboard-port=0", "--dashboard-agent-listen-port=0")  # jobs need the agent; another Ray has its port
    with running_ray("--include-dashboard=true", *ports, RAY_metrics_report_interval_ms="5000") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def prometheus(
    ray: RunningRay, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus with the configuration of ``dashboards/``, but for where this Ray keeps its sessions."""
    folder = tmp_path_factory.mktemp("prometheus")
    shutil.copy(ALERTS, folder)
    config = (FOLDER / "prometheus" / "prometheus.yml").read_text()
    assert "/tmp/ray/" in config
    (folder / "prometheus.yml").write_text(config.replace("/tmp/ray/", f"{ray.folder}/"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*free.getsockname())
    command = [program("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([*command, f"--storage.tsdb.path={folder / 'data'}"], stdout=log, stderr=log)
    try:
        started = Prometheus(f"http://{address}", time.time())
        until(started.answers, "an answer of Prometheus")
        yield started
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def watched(ray: RunningRay, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Prometheus:
    """Prometheus after a study of which a trial failed and one lost its process, and after a GAN beside it."""
    folder = tmp_path_factory.mktemp("study")
    study = folder / "watched.yaml"
    study.write_text(STUDY)
    results = folder / "results"

    def start(name: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        command = ray.command(*arguments, "--results", results)
        with (folder / name).open("w") as printed:
            return subprocess.Popen(command, cwd=REPOSITORY, env=ray.environment, stdout=printed, stderr=printed)

    run = start("watched", study)
    until(lambda: list(results.glob("checkpoints/*.checkpoint")), "a checkpoint")
    ray.training()[0].kill()
    gan = start("gan", REPOSITORY / "studies" / "gan.yaml", "--profile", "quick", *GAN)
    statuses = [run.wait(300), gan.wait(300)]
    said = (folder / "watched").read_text()
    assert statuses == [1, 0], said + (folder / "gan").read_text()  # one trial of the first fails
    assert "starts again" in said
    return prometheus


GAN = (
    "--set",
    "trial.epochs=1",
    "--set",
    "trial.width=8",
    "--set",
    "grid.dataset=[gaussian_ring]",
    "--set",
    "grid.seed=[0]",
)


def panels() -> Iterator[tuple[str, str]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$study", ".+")  # what Grafana makes of "All"


def alert_parts() -> Iterator[tuple[str, str]]:
    """The selectors of each alert: the whole of it is silent where nothing is wrong."""
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            for selector in re.findall(r"ray_\w+(?:\{[^}]*\})?", rule["expr"]):
                yield rule["alert"], selector


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "query"), [pytest.param(*one, id=one[0]) for one in itertools.chain(panels(), alert_parts())]
)
def test_every_query_of_a_panel_or_an_alert_returns_series(watched: Prometheus, where: str, query: str) -> None:
    if re.match(r"ray_node_gpus_\w+$", query) and not Path("/dev/nvidiactl").exists():
        from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

        assert query.removeprefix("ray_") in METRICS_GAUGES  # Ray exports it on a machine that has a GPU
        assert watched.ever(query) == []
        return
    until(lambda: watched.ever(query), f"{where}: a series of {query}")


@pytest.mark.slow
def test_the_metrics_tell_how_the_study_went(watched: Prometheus) -> None:
    states = 'max by (state, arm) (max_over_time(ray_mixup_study_trials{study="watched"}[10m]))'
    most = {(one["metric"]["arm"], one["metric"]["state"]): float(one["value"][1]) for one in watched.now(states)}
    assert most["mixup", "done"] == 2
    assert most["ERM", "done"] == 1
    assert most["too large", "failed"] == 1
    assert most["ERM", "failed"] == 0
    arms = watched.now('count by (arm) (last_over_time(ray_mixup_study_trials{study="gan"}[10m]))')
    assert "mixup / alpha=0.1" in {one["metric"]["arm"] for one in arms}  # Ray takes no α
    (progress,) = watched.now('max(max_over_time(ray_mixup_study_progress_ratio{study="watched"}[10m]))')
    assert float(progress["value"][1]) == 1
    epochs = watched.now('max by (trial_id) (max_over_time(ray_mixup_study_trial_epoch{study="watched"}[10m]))')
    assert [float(one["value"][1]) for one in epochs] == [60, 60, 60]
    firing = 'ALERTS{alertname="TrialsFail", alertstate="firing", study="watched", arm="too large"}'
    until(lambda: watched.ever(firing), "the alert of the trial that failed")


@pytest.mark.slow
def test_the_series_of_finished_trials_end(watched: Prometheus) -> None:
    every = '{__name__=~"ray_mixup_study_trial_.+"}'
    assert watched.ever(every)
    until(lambda: not watched.now(every), "the end of the series")


def test_promtool_finds_no_fault_with_the_configuration(program: Callable[[str], str]) -> None:
    for arguments in (
        ["check", "config", str(FOLDER / "prometheus" / "prometheus.yml")],
        ["check", "rules", str(ALERTS)],
        ["test", "rules", str(HERE / "alerts.test.yml")],
    ):
        checked = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_is_made_to_fire_by_a_rule_test() -> None:
    tested = yaml.safe_load((HERE / "alerts.test.yml").read_text())["tests"]
    fired = {rule["alertname"] for test in tested for rule in test["alert_rule_test"] if rule["exp_alerts"]}
    assert fired == {name for name, _ in alert_parts()}


def test_grafanas_own_model_of_a_dashboard_knows_every_field_of_ours() -> None:
    register_default_plugins()
    ours = json.loads(DASHBOARD.read_text())
    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))
    assert list(unknown(ours, theirs)) == []


def unknown(ours: Any, theirs: Any, place: str = "") -> Iterator[str]:
    """Yield the places in ``ours`` that ``theirs``, which went through Grafana's model, lacks or holds otherwise."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from unknown(value, theirs.get(key), f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from unknown(one, other, f"{place}[{number}]")
    elif ours != theirs:
        yield f"{place}: {ours!r}, not {theirs!r}"


def test_panels_do_not_overlap_and_say_their_units() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]


TEXT = "document.body.innerText.includes(arguments[0])"


@pytest.mark.slow
def test_rays_dashboard_shows_a_running_study_by_name(ray: RunningRay, tiny_study: Path, browser: Browser) -> None:
    endless = ["--results", tiny_study.parent / "results", "--set", "trial.epochs=100000"]
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


@pytest.mark.slow
def test_a_submitted_job_brings_the_code_joins_its_cluster_and_streams_its_table(
    ray: RunningRay, tiny_study: Path, tmp_path: Path
) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(REPOSITORY / "mixup_study", shipped / "mixup_study", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(tiny_study, shipped)
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
    environment = {**ray.environment, "RAY_ADDRESS": ray.address}

    def command(*options: str) -> list[str]:
        run = ["python", "-m", "mixup_study.run", "tiny.yaml", f"--results={tmp_path / 'results'}", *options]
        return [*submit, f"--working-dir={shipped}", "--", *run]

    def submitted() -> subprocess.Popen[str] | None:
        job = subprocess.Popen(
            command("--set", "trial.epochs=20"), env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        assert job.stdout is not None
        return job if any("Running entrypoint" in line for line in job.stdout) else None

    job = until(submitted, "the acceptance of a job", 60)  # what takes jobs comes up after Ray
    (worker, *_) = until(ray.training, "a process that trains", 60)
    assert ENVIRONMENT.items() <= worker.environ().items()
    assert worker.environ()["PYTHONPATH"]
    printed, _ = job.communicate(timeout=120)
    assert job.returncode == 0, printed
    assert f"joining the Ray cluster at {ray.address}" in printed
    assert "3 of 3 trials done" in printed
    refused = run_command(command("--profile=papr"), environment, tmp_path)
    assert refused.returncode == 1
    assert "error: tiny.yaml: no profile 'papr'" in refused.stdout
