"""The lock file holds what pyproject.toml asks for, and the Dockerfile copies what it needs."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement

from tests.conftest import REPOSITORY

CONTAINER = REPOSITORY / "deploy" / "container"
LOCK = CONTAINER / "requirements.lock"


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, list[str]]:
    """The versions of each package; several where they depend on the Python."""
    versions: dict[str, list[str]] = {}
    for line in LOCK.read_text().splitlines():
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        versions.setdefault(normalise(requirement.name), []).append(specifier.version)
    return versions


def test_the_lock_holds_every_dependency_at_a_version_that_is_allowed() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    versions = locked()
    for line in [*project["dependencies"], *project["optional-dependencies"]["speech"]]:
        requirement = Requirement(line)
        held = versions.get(normalise(requirement.name), [])
        assert held, f"{requirement.name} is not in {LOCK.name}"
        assert all(requirement.specifier.contains(version) for version in held), f"{line}: locked at {held}"


def test_the_dockerfile_copies_what_exists_and_is_not_ignored_and_names_its_base() -> None:
    text = (CONTAINER / "Dockerfile").read_text()
    kept = {line[1:] for line in (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = {path for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for path in line.split()}
    assert copied == kept
    assert all((REPOSITORY / path).exists() for path in copied)
    assert re.search(r"^USER (?!0|root)", text, re.MULTILINE)
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert ":latest" not in image
        assert ":" in image or image == "base" or image.startswith("torch-")
