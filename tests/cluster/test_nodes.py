"""A study on three machines with addresses of their own, its results at a fourth, and links that are cut meanwhile."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixup_study.study.trial import Trial
from mixup_study.training.task import TrialResult
from tests.cluster.support import epochs_of, measurements_of, read_until, records, study_of
from tests.conftest import REPOSITORY
from tests.machines import Machine, NoMachines, running_machines
from tests.training.alone import train_alone
from tests.training.pair import running_pair

STUDY = """\
name: nodes
checkpoint_seconds: 0.5
trial:
  {dataset: digits, train_size: 100, augment: false, model: preact_resnet18, width: 2, batch_size: 50, lr: 0.1}
grid: {seed: [0, 1]}
arms:
  long: {epochs: 100, method: mixup, alpha: 1}
  short: {epochs: 1}
table: {title: Nodes, rows: [arm], columns: [{title: last, metric: test_error_last}]}
"""
"""Two trials that last so long that machines can be cut off meanwhile, and two that soon leave a slot free."""
PAIR = """\
arms:
  pair: {epochs: 10, workers: 2}
"""
"""A trial of two workers, which no machine has room for."""
SPEAKING = """\
from mixup_study.training.tasks.classification import Classification

ENTRIES = []
train_epoch = Classification.train_epoch


def print_and_train(run, epoch, pause):
    print(f"epoch {epoch}")
    return train_epoch(run, epoch, pause)


Classification.train_epoch = print_and_train
"""
"""A plugin by which each trial leaves a log, which says on which machine it trained."""
CUT_SECONDS = 8.0
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 7,
}
"""Ray takes a machine for dead after 18 s: TCP sends again after 13 s what was lost in the first 8."""
HOST = re.compile(r"^== .* on (\w+): ", re.MULTILINE)
"""Where a log says that a trial trained, or went on."""
PORT = 5000
"""Of the bucket's server."""
CREATE = """\
import sys
from pyarrow import fs

system, root = fs.FileSystem.from_uri(sys.argv[1])
system.create_dir(root)
"""
COPY = "import sys; from pyarrow import fs; fs.copy_files(*sys.argv[1:])"
WAIT = """\
import sys, time
from pyarrow import fs

system, root = fs.FileSystem.from_uri(sys.argv[1])
while system.get_file_info(f"{root}/checkpoints/{sys.argv[2]}.checkpoint").type == fs.FileType.NotFound:
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Nodes:
    """A Ray cluster of three machines with a CPU each, and a bucket at another one."""

    head: Machine
    workers: Sequence[Machine]
    bucket: Machine
    environment: Mapping[str, str]
    study: Path
    trials: Mapping[str, Trial]
    undisturbed: Mapping[str, TrialResult]
    """What each trial measures that this process trains, by trial_id."""

    def url(self, name: str) -> str:
        """Return the URL of results in the bucket."""
        return f"s3://bucket/{name}?{address_bucket(self.bucket)}"

    @contextmanager
    def running_study(self, name: str, study: Path | None = None) -> Iterator[subprocess.Popen[str]]:
        """Run the study, or another, on all machines, up to the block's end."""
        command = [sys.executable, "-m", "mixup_study.run", str(study or self.study), "--plugin", "speaking"]
        command += ["--results", self.url(name), "--address", f"{self.head.address}:6379"]
        with self.head.running(command, self.environment) as run:
            yield run

    def list_long_trials(self, machine: Machine) -> list[str]:
        """Return the trial_ids of the long trials that a machine trains, by what its processes are called."""
        titles = [command for command in machine.list_commands() if "nodes: long, " in command]
        long = {trial_id: trial for trial_id, trial in self.trials.items() if trial.epochs > 1}
        return [trial_id for trial_id, trial in long.items() if any(f"seed={trial.seed}" in title for title in titles)]

    def find_long_trial(self, run: subprocess.Popen[str]) -> tuple[Machine, str]:
        """Return a worker that trains one of the long trials, and its trial_id, as soon as there is any."""
        while run.poll() is None:
            for worker in self.workers:
                for trial_id in self.list_long_trials(worker):
                    return worker, trial_id
            time.sleep(0.1)
        raise AssertionError(run.communicate()[0])

    def wait_for_checkpoint(self, name: str, trial_id: str) -> None:
        self.head.call([sys.executable, "-c", WAIT, self.url(name), trial_id], self.environment)

    def copy_results(self, name: str) -> Path:
        """Return a folder with what the bucket holds of a run."""
        folder = self.study.parent / name
        self.head.call([sys.executable, "-c", COPY, self.url(name), str(folder)], self.environment)
        return folder

    def assert_numbers_are_undisturbed(self, results: Path) -> None:
        recorded = records(results)
        assert recorded["status"].to_dict() == dict.fromkeys(self.undisturbed, "done")
        for trial_id, result in self.undisturbed.items():
            assert measurements_of(recorded, trial_id) == dict(result.measurements)
            columns = ["epoch", "lr", "train_loss", "test_error"]
            expected = [{column: row[column] for column in columns} for row in result.epochs]
            assert epochs_of(results, trial_id)[columns].to_dict("records") == expected
        assert not list(results.glob("checkpoints/*.checkpoint"))


def address_bucket(bucket: Machine) -> str:
    """Return the options of a URL that lead to the bucket."""
    return f"scheme=http&endpoint_override={bucket.address}%3A{PORT}&region=us-east-1"


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with running_nodes(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@contextmanager
def running_nodes(folder: Path) -> Iterator[Nodes]:
    """Start the machines, their Ray and the bucket; ``folder`` takes the study and copies of its results."""
    study = folder / "nodes.yaml"
    study.write_text(STUDY)
    (folder / "speaking.py").write_text(SPEAKING)
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(folder)]),
    }
    start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--num-gpus=0"]
    start.append("--object-store-memory=100000000")
    with ExitStack() as stack:
        # Ray's sessions, which the nodes do not share; a socket's path has 107 characters at most.
        sessions = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nodes-", dir="/tmp")))
        machines = running_machines("head", "worker1", "worker2", "bucket", private=sessions)
        try:
            head, *workers, bucket = stack.enter_context(machines)
        except NoMachines as error:
            pytest.skip(f"this machine cannot be split into several: {error}")
        log = stack.enter_context((folder / "bucket.log").open("w"))
        server = [sys.executable, "-m", "moto.server", "-H", bucket.address, "-p", str(PORT)]
        stack.enter_context(bucket.running(server, environment, log))
        first = ["--head", "--port=6379", "--include-dashboard=false", "--disable-usage-stats"]
        first += [f"--temp-dir={sessions}", f"--system-config={json.dumps(HEALTH)}"]
        own = [f"--node-ip-address={head.address}", *first]
        read_until(stack.enter_context(head.running([*start, *own], environment)), "This command will now block")
        joining = []
        for worker in workers:
            own = [f"--node-ip-address={worker.address}", f"--address={head.address}:6379"]
            joining.append(stack.enter_context(worker.running([*start, *own], environment)))
        trials = study_of(study).trials
        undisturbed = {trial_id: train_alone(trial) for trial_id, trial in trials.items()}
        for process in joining:
            read_until(process, "This command will now block")
        head.call(
            [sys.executable, "-c", CREATE, f"s3://bucket?{address_bucket(bucket)}&allow_bucket_creation=true"],
            environment,
        )
        yield Nodes(head, workers, bucket, environment, study, trials, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "links",
    [
        "head, worker, bucket",
        pytest.param("worker", marks=pytest.mark.long),
        pytest.param("bucket", marks=pytest.mark.long),
    ],
)
def test_a_study_on_three_machines_whose_links_are_cut_for_seconds_measures_what_one_does(
    nodes: Nodes, links: str
) -> None:
    name = links.replace(", ", "-")
    with nodes.running_study(name) as run:
        worker, trial_id = nodes.find_long_trial(run)
        nodes.wait_for_checkpoint(name, trial_id)
        machines = [{"head": nodes.head, "worker": worker, "bucket": nodes.bucket}[link] for link in links.split(", ")]
        for machine in machines:
            machine.cut()
        time.sleep(CUT_SECONDS)
        for machine in machines:
            machine.heal()
        said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    assert "on 3 slots of 1 CPU" in said
    assert not re.search("starts again|from now on|no checkpoint saved", said), said
    results = nodes.copy_results(name)
    nodes.assert_numbers_are_undisturbed(results)
    logs = [file.read_text() for file in results.glob("logs/*.log")]
    assert {host for log in logs for host in HOST.findall(log)} == {"head", "worker1", "worker2"}


@pytest.mark.slow
@pytest.mark.long
def test_a_trial_of_two_workers_on_two_machines_measures_what_it_does_on_one(nodes: Nodes, tmp_path: Path) -> None:
    study = tmp_path / "pair.yaml"
    study.write_text(re.sub(r"^grid: .*|^  (long|short): .*\n", "", STUDY, flags=re.MULTILINE).replace("arms:\n", PAIR))
    ((trial_id, trial),) = study_of(study).trials.items()
    with nodes.running_study("pair", study) as run, running_pair() as pair:
        undisturbed = pair.call(train_alone, trial)[0]
        said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    results = nodes.copy_results("pair")
    assert measurements_of(records(results), trial_id) == dict(undisturbed.measurements)
    (first,), (second,) = (HOST.findall(file.read_text()) for file in results.glob("logs/*.log"))
    assert first != second


@pytest.mark.slow
@pytest.mark.long
def test_the_trial_of_a_machine_that_is_cut_off_for_ever_goes_on_at_another(nodes: Nodes) -> None:
    with nodes.running_study("lost") as run:
        lost, trial_id = nodes.find_long_trial(run)
        nodes.wait_for_checkpoint("lost", trial_id)
        lost.cut()
        read_until(run, "starts again after its process died with its node")
        restarted = time.monotonic()
        others = [machine for machine in (nodes.head, *nodes.workers) if machine is not lost]
        while not any(trial_id in nodes.list_long_trials(machine) for machine in others):
            assert time.monotonic() - restarted < 60
            time.sleep(0.1)
        said, _ = run.communicate(timeout=240)
    assert run.returncode == 0, said
    results = nodes.copy_results("lost")
    nodes.assert_numbers_are_undisturbed(results)
    resumed = records(results)["resumed_seconds"]
    assert list(resumed.index[resumed > 0]) == [trial_id]
    before, after = HOST.findall((results / "logs" / f"{trial_id}.log").read_text())
    assert before == lost.name != after
