"""The files for ``ray up`` against Ray's own schema and defaults; no cloud is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "ray"


def read(provider: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((FOLDER / f"{provider}.yaml").read_text())
    return config


@pytest.mark.parametrize("provider", ["aws", "gcp"])
def test_ray_takes_the_file_whose_workers_are_spot_and_whose_ports_ask_for_a_token(provider: str) -> None:
    config = prepare_config(read(provider))
    validate_config(config)
    gpu = config["available_node_types"]["gpu"]
    assert gpu["resources"]["GPU"] == 1
    spot = {"aws": "InstanceMarketOptions", "gcp": "scheduling"}[provider]
    assert spot in gpu["node_config"]
    assert spot not in config["available_node_types"]["head"]["node_config"]
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in commands[-1]
    local = config["file_mounts"]["~/requirements.lock"]
    assert Path(REPOSITORY, local).is_file()


@pytest.mark.parametrize("provider", ["aws", "gcp"])
def test_a_misspelt_key_is_refused(provider: str) -> None:
    config = read(provider)
    config["available_node_type"] = config.pop("available_node_types")
    with pytest.raises(jsonschema.ValidationError, match="available_node_type"):
        validate_config(prepare_config(config))
