"""Models of finished trials, kept beside the records."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mixup_study.errors import cut, one_line
from mixup_study.store.envelope import Envelope, FileUnusable
from mixup_study.store.place import Place
from mixup_study.store.trial_file import TrialFile

ENVELOPE = Envelope("model", 1)
FOLDER = "models"
_TRIAL_ID = re.compile(r"[0-9a-f]{16}")


class ModelFile(TrialFile):
    """The model of one trial: ``models/<trial_id>`` in a results folder or bucket.

    What it holds is made and read by ``seal_model`` and ``open_model``.
    """

    def __init__(self, location: str, trial_id: str) -> None:
        """Name the place; nothing is created before the first write. ``location`` is that of a ResultStore."""
        super().__init__(location, f"{FOLDER}/{trial_id}")


@dataclass(frozen=True)
class ModelEntry:
    """A model that stands in the results."""

    trial_id: str
    size: int
    """Bytes of its file."""


def list_models(location: str) -> list[ModelEntry]:
    """Return the models in a results folder or bucket, by trial_id; none of them is read. Raises StorageError.

    Files that no trial_id names are left out.
    """
    place = Place.of(location)
    with place.reading():
        files = place.list_files(f"{place.root}/{FOLDER}")
    models = [ModelEntry(file.base_name, file.size) for file in files if _TRIAL_ID.fullmatch(file.base_name)]
    if not models:
        place.check_readable()
    return sorted(models, key=lambda model: model.trial_id)


def short_digest(file: bytes) -> str:
    """Return the first 16 hexadecimal digits of the digest of a model's file, by which records name it."""
    return ENVELOPE.digest(file)[:16]


def seal_model(trial_id: str, content: bytes) -> bytes:
    """Return the file of a trial's model, whose weights and buffers are ``content``."""
    return ENVELOPE.seal(f"{trial_id}\n".encode() + content)


def open_model(trial_id: str, file: bytes) -> memoryview:
    """Return the content that ``seal_model`` took.

    Raises FileUnusable for a file that is damaged, that is no model, or that is the model of another trial.
    """
    sealed = ENVELOPE.open(file)
    line = f"{trial_id}\n".encode()
    if sealed[: len(line)] != line:
        other = bytes(sealed[: len(line)]).partition(b"\n")[0].decode(errors="replace")
        raise FileUnusable(f"it is of trial_id {one_line(cut(other, 16))}, not {trial_id}")
    return sealed[len(line) :]
