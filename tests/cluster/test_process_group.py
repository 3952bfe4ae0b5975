"""The network that a trial's workers use, and what is said of a group that does not start."""

from __future__ import annotations

import os
import sys

import pytest
import ray
from ray.exceptions import RayTaskError
from ray.train import ControllerError, TrainingFailedError

from mixup_study.cluster.process_group import choose_interface, find_interface
from mixup_study.cluster.worker import find_cause


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
def test_the_interface_of_an_address_is_taken_unless_the_user_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_interface("127.0.0.1") == "lo"
    assert find_interface("198.51.100.7") is None
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    for named, expected in ((None, "lo"), ("eth7", "eth7")):
        monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
        if named is not None:
            monkeypatch.setenv("GLOO_SOCKET_IFNAME", named)
        choose_interface()
        assert os.environ["GLOO_SOCKET_IFNAME"] == expected


def test_a_group_that_does_not_start_is_told_with_what_its_worker_raised() -> None:
    refused = RuntimeError("Gloo connectFullMesh failed: Connection refused")
    raised = RayTaskError("_setup_torch_process_group", "Traceback …", refused).as_instanceof_cause()
    assert find_cause(ControllerError(raised)) is refused
    assert find_cause(ControllerError(refused)) is refused
    unnamed = TrainingFailedError("Training was interrupted by node preemption")
    assert find_cause(unnamed) is unnamed
