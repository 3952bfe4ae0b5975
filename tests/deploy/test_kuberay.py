"""The manifests against the schemas of KubeRay's custom resources; nothing is run."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "kuberay"
SCHEMAS = json.loads((Path(__file__).parent / "kuberay_v1.7.0.json").read_text())
MANIFESTS = [FOLDER / "job" / "rayjob.yaml", FOLDER / "cluster" / "raycluster.yaml"]


def forbid_unknown(schema: Any) -> Any:
    """Return a schema under which an unknown key is an error: Kubernetes drops it in silence."""
    if isinstance(schema, list):
        return [forbid_unknown(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: forbid_unknown(part) for key, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        strict.setdefault("additionalProperties", False)
    return strict


def check(manifest: Any) -> None:
    """Raise ValidationError for what KubeRay would refuse or ignore."""
    assert manifest["apiVersion"] == "ray.io/v1"
    schema = forbid_unknown(SCHEMAS["properties"][manifest["kind"]])
    jsonschema.Draft202012Validator({**schema, "$defs": forbid_unknown(SCHEMAS["$defs"])}).validate(manifest)


def pods(value: Any) -> Iterator[Any]:
    """Yield the specification of every pod."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for part in value.values():
            yield from pods(part)
    elif isinstance(value, list):
        for part in value:
            yield from pods(part)


def cluster_of(manifest: Any) -> Any:
    return manifest["spec"] if manifest["kind"] == "RayCluster" else manifest["spec"]["rayClusterSpec"]


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_a_manifest_is_one_that_kuberay_takes_and_needs_no_root(file: Path) -> None:
    manifest = yaml.safe_load(file.read_text())
    check(manifest)
    assert cluster_of(manifest)["rayVersion"] == ray.__version__
    assert cluster_of(manifest)["authOptions"] == {"mode": "token"}
    specifications = list(pods(manifest))
    assert len(specifications) == 2
    for pod in specifications:
        assert pod["securityContext"]["runAsNonRoot"]
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        tag = container["image"].rpartition(":")[2]
        assert tag[0].isdigit()


@pytest.mark.parametrize("key", ["headGroupSpec", "workerGroupSpecs"])
def test_a_misspelt_key_and_a_missing_one_are_refused(key: str) -> None:
    manifest = yaml.safe_load(MANIFESTS[0].read_text())
    cluster = cluster_of(manifest)
    cluster[f"{key}s"] = cluster.pop(key)
    with pytest.raises(jsonschema.ValidationError, match=key):
        check(manifest)


def test_the_job_runs_on_a_cluster_like_that_which_stays() -> None:
    job, cluster = (cluster_of(yaml.safe_load(file.read_text())) for file in MANIFESTS)
    assert job == cluster


def test_every_kustomization_builds_and_the_volume_is_in_each_pod() -> None:
    kubectl = shutil.which("kubectl") or pytest.skip("kubectl is not installed, which builds kustomizations")
    for folder in sorted(path.parent for path in FOLDER.glob("*/kustomization.yaml")):
        built = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
        manifests = [manifest for manifest in yaml.safe_load_all(built.stdout) if "ray.io/" in manifest["apiVersion"]]
        for manifest in manifests:
            check(manifest)
        if folder.name == "volume":
            for pod in pods(manifests):
                claimed = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
                assert claimed <= {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
                assert claimed == {"results"}
