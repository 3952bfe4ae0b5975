"""A connection to a Ray cluster, joined or started for the occasion."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import ray
from ray._private import ray_constants
from ray._private.state import state as ray_state
from ray.job_config import JobConfig

from mixup_study.cluster.head_watch import end_own_ray, watching_head
from mixup_study.cluster.room import check_room
from mixup_study.errors import ClusterLost, InputError
from mixup_study.study.document import Resources

ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own progress output
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths keep their meaning in workers
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",  # Train's controller notices the end of a group by this, 2 by default
    "RAY_TRAIN_V2_ENABLED": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # nor is Tune's own state needed, which nobody restores
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the results are the record; Tune's CSV and JSON would only cost time
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is handled by the command
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",  # processes start side by side; the searcher counts the slots
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000",
}
"""Settings of Ray's that a study needs, in the driver and in its workers."""


@dataclass(frozen=True)
class Cluster:
    """What a connected Ray cluster offers."""

    nodes: tuple[tuple[float, float], ...]
    """CPUs and GPUs of each node that is alive."""
    dashboard: str | None
    """In one line, where Ray's dashboard is and how it lets one in; None for a cluster without."""

    @property
    def gpus(self) -> float:
        """Return the GPUs of all nodes together."""
        return sum(gpus for _, gpus in self.nodes)

    def slots(self, resources: Resources) -> int:
        """Return how many slots of ``resources`` the nodes hold side by side."""
        return sum(resources.fitting(cpus, gpus) for cpus, gpus in self.nodes)

    def check(self, resources: Resources, workers: int) -> None:
        """Raise InputError where a job of ``workers`` slots never fits."""
        if workers > 1 and 0 < resources.gpus < 1:
            raise InputError(
                f"{workers} data-parallel workers cannot share a GPU, which NCCL refuses; --set resources.gpus=1"
            )
        slots = self.slots(resources)
        if slots >= workers:
            return
        offer = ", ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for cpus, gpus in self.nodes)
        hint = "; --set resources.gpus=0 trains on CPUs" if resources.gpus else ""
        raise InputError(
            f"a trial needs {workers} slot{'s' if workers > 1 else ''} of {resources.cpus:g} CPUs and"
            f" {resources.gpus:g} GPUs; the Ray cluster's nodes have {offer}{hint}"
        )


def _check_answers(address: str) -> None:
    """Raise InputError unless a Ray cluster that lets us in answers there; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"--address {address}: expected HOST:PORT, as 'ray start' prints it, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise InputError(f"--address {address}: nothing answers there ({error}); expected a Ray cluster") from None
    check = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        health = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        raise InputError(f"--address {address}: what answers there is not a Ray cluster") from None
    if "AuthenticationError" in health.stderr:
        raise InputError(
            f"--address {address}: the cluster asks for its token; set RAY_AUTH_MODE=token, with the token of the"
            " machine that started it in ~/.ray/auth_token"
        )
    if health.returncode != 0:
        raise InputError(f"--address {address}: what answers there is not a healthy Ray cluster")


def _dashboard(url: str | None) -> str | None:
    """Return where the dashboard is, and where the token is health that it asks for: the place, not the token."""
    if not url:
        return None
    if os.environ.get("RAY_AUTH_MODE") != "token":  # Ray sets it where it finds that the cluster asks for one
        return f"http://{url}"
    place = os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")
    if "RAY_AUTH_TOKEN" in os.environ:
        place = "the variable RAY_AUTH_TOKEN"
    return f"http://{url} (asks once for the cluster's token, which keeps strangers out: it stands in {place})"


def _protect_token() -> None:
    """Keep the token that Ray wrote for this user from others of the machine."""
    with suppress(OSError):  # there is none, or it is another's
        Path("~/.ray/auth_token").expanduser().chmod(0o600)


def count_nodes() -> tuple[tuple[float, float], ...]:
    """Return the CPUs and GPUs of each node of the cluster that is alive, and not about to leave."""
    leaving = ray_state.get_draining_nodes()
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving]
    return tuple((resources.get("CPU", 0.0), resources.get("GPU", 0.0)) for resources in alive)


@contextmanager
def _only_this_machine() -> Iterator[None]:
    """Have every process of the Ray that starts meanwhile listen on 127.0.0.1 alone.

    On Linux, Ray listens on all interfaces, its metrics without asking for the token, and takes 127.0.0.1 as
    ``_node_ip_address`` for the address of another interface. Elsewhere it does what this has it do here:
    https://github.com/ray-project/ray/issues/18730.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _holding_hangup() -> Iterator[None]:
    """Have SIGHUP wait meanwhile, and have what starts meanwhile never take it.

    A terminal that goes away sends it to the Ray that the command has started as well, which would end at once, and
    with it the trials that are to save. Ray does so with SIGINT itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def connect(address: str | None, cpus: int | None, gpus: int | None, job_name: str) -> Iterator[Cluster]:
    """Join the Ray cluster at ``address``, or start one, and leave it at the end; Ray's dashboard shows ``job_name``.

    Without ``address`` the cluster that the variable RAY_ADDRESS names is joined, as Ray does inside its own jobs;
    without that either, one is started on this machine alone. None for ``cpus`` or ``gpus`` means all there are.
    Raises InputError where there is no cluster at ``address``, or no room for temporary files, and ClusterLost from
    within once it is gone.
    """
    os.environ.update(ENVIRONMENT)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address not in ("local", "auto"):
        _check_answers(address)
    check_room()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failures are told by the run itself
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    try:
        with _holding_hangup(), _only_this_machine() if address == "local" else nullcontext():
            context = ray.init(
                address=address,
                num_cpus=cpus,
                num_gpus=gpus,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": ENVIRONMENT},  # in a submitted job, Ray drops that of a JobConfig
                job_config=JobConfig(metadata={"job_name": job_name}),
            )
    except (ConnectionError, ValueError) as error:
        raise InputError(
            f"--address {address}: no Ray cluster to work on: {' '.join(str(error).split())[:300]}"
        ) from error
    _protect_token()
    try:
        with watching_head(ray.get_runtime_context().gcs_address, is_own=address == "local"):
            yield Cluster(count_nodes(), _dashboard(context.dashboard_url))
    except ClusterLost:
        if address == "local":
            end_own_ray()
        raise  # ray.shutdown would wait for what is gone
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()
