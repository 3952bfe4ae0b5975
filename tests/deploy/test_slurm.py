"""The batch script on a real Slurm: two nodes on this machine, each with one CPU of the job."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.cluster.support import measurements_alone, measurements_of, records, study_of
from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.long]

SCRIPT = REPOSITORY / "deploy" / "slurm" / "study.sbatch"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
OPTIONS = ("--set", "trial.epochs=150", "--set", "checkpoint_seconds=0.5")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge,cred_expire=5
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
KillWait=10
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=main Nodes=node1,node2 Default=YES State=UP
"""


def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.2)


@dataclass(frozen=True)
class Slurm:
    """A running Slurm, and the environment in which its commands find it."""

    environment: Mapping[str, str]
    work: Path
    """From where jobs are submitted."""

    def call(self, *command: str) -> str:
        ran = subprocess.run(command, env=self.environment, cwd=self.work, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def submit(self, nodes: int, arguments: Sequence[str]) -> str:
        """Submit the script; return the job's number."""
        options = [f"--nodes={nodes}", "--cpus-per-task=1", "--parsable"]
        return self.call("sbatch", *options, str(SCRIPT), *arguments).strip()

    def state(self, job: str) -> str:
        return self.call("squeue", "--noheader", "--states=all", f"--job={job}", "--format=%T").strip()

    def printed(self, job: str) -> str:
        return (self.work / f"slurm-{job}.out").read_text()

    def wait(self, job: str, state: str) -> None:
        """Wait for a state; fail with what the job printed."""
        try:
            until(lambda: self.state(job) == state, f"{state} of job {job}", 180)
        except pytest.fail.Exception as error:
            pytest.fail(f"{error}\n{self.printed(job)}", pytrace=False)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; Debian: apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root")
    work = tmp_path_factory.mktemp("slurm")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-", dir="/tmp")))
        folder.chmod(0o755)
        (folder / "state").mkdir()
        (folder / "key").write_bytes(secrets.token_bytes(128))
        (folder / "key").chmod(0o600)
        free = [stack.enter_context(socket.socket()) for _ in range(3)]
        for listener in free:
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in free]
        for listener in free:
            listener.close()
        configuration = folder / "slurm.conf"
        configuration.write_text(CONFIGURATION.format(host=socket.gethostname(), folder=folder, ports=ports))
        environment = {
            **os.environ,
            "SLURM_CONF": str(configuration),
            "HOME": str(work),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "MIXUP_STUDY_TARGETS": str(work),
        }
        munge = [f"--key-file={folder / 'key'}", f"--socket={folder / 'munge'}", f"--seed-file={folder / 'seed'}"]
        daemons = [
            ["munged", "--foreground", *munge, f"--pid-file={folder / 'pid'}", f"--log-file={folder / 'log'}"],
            ["slurmctld", "-D", "-f", str(configuration)],
            *(["slurmd", "-D", "-N", node, "-f", str(configuration)] for node in ("node1", "node2")),
        ]
        log = stack.enter_context((work / "daemons.log").open("w"))
        for daemon in daemons:
            process = subprocess.Popen(daemon, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
            until(lambda: (folder / "munge").exists(), "munge's socket", 10)
        started = Slurm(environment, work)
        command = ["sinfo", "--noheader", "--format=%T %D"]

        def idle() -> bool:
            said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            return said.stdout.split() == ["idle", "2"]

        until(idle, f"two idle nodes ({work / 'daemons.log'})", 30)
        yield started
        started.call("scancel", "--user=root")
        until(lambda: not started.call("squeue", "--noheader"), "the end of all jobs", 60)


def serves_metrics(port: str) -> bool:
    opener = build_opener(ProxyHandler({}))  # urlopen keeps the proxies that another test had when it first called
    try:
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return b"ray_node_" in answer.read()
    except OSError:
        return False


def wait_for_checkpoint(results: Path) -> None:
    until(lambda: any((results / "checkpoints").glob("*.checkpoint")), "a checkpoint", 120)


def assert_results_are_the_undisturbed_ones(results: Path, study: Path) -> None:
    recorded = records(results)
    alone = measurements_alone(study_of(study, *OPTIONS), results.parent)
    assert sorted(recorded.index) == sorted(alone)
    for trial_id, measured in alone.items():
        assert measurements_of(recorded, trial_id) == measured


def test_a_job_near_its_time_limit_saves_queues_itself_again_and_goes_on(
    slurm: Slurm, tiny_study: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    job = slurm.submit(2, [str(tiny_study), "--results", str(results), *OPTIONS])
    wait_for_checkpoint(results)
    (listed,) = json.loads((slurm.work / f"{job}.json").read_text())
    assert [target.partition(":")[0] for target in listed["targets"]] == ["node1", "node2"]
    for target in listed["targets"]:  # both are this machine; Ray's agent starts beside its node, not before it
        port = target.partition(":")[2]
        until(lambda port=port: serves_metrics(port), f"a scrape of port {port}", 60)
    slurm.call("scancel", "--signal=TERM", "--batch", job)  # what --signal=B:TERM@120 sends
    slurm.wait(job, "COMPLETED")
    before, _, after = slurm.printed(job).partition("the same command runs the rest")
    assert "interrupted: trials have 60 s to save" in before
    assert " saved at epoch" in before
    for half in (before, after):
        assert "Ray runs on 2 of 2 nodes" in half
    assert "3 of 3 trials done" in after
    assert_results_are_the_undisturbed_ones(results, tiny_study)
    assert not Path(f"/tmp/ray-{job}").exists()
    assert not (slurm.work / f"{job}.json").exists()


def test_a_job_whose_processes_are_all_taken_away_goes_on_with_fewer_cpus(
    slurm: Slurm, tiny_study: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    arguments = [str(tiny_study), "--results", str(results), *OPTIONS]
    first = slurm.submit(2, arguments)
    wait_for_checkpoint(results)
    slurm.call("scancel", first)
    slurm.wait(first, "CANCELLED")
    shutil.rmtree(f"/tmp/ray-{first}", ignore_errors=True)
    assert list((results / "checkpoints").glob("*.checkpoint"))
    second = slurm.submit(1, arguments)
    slurm.wait(second, "COMPLETED")
    assert "3 of 3 trials done" in slurm.printed(second)
    assert "on 1 slot of 1 CPU" in slurm.printed(second)
    assert_results_are_the_undisturbed_ones(results, tiny_study)
