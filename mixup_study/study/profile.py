"""Which profile a command takes when the user names none."""

from __future__ import annotations

from mixup_study.study.study import StudyFile


def choose_profile(file: StudyFile, named: str | None, gpus: float, where: str) -> tuple[str, str]:
    """Return a profile's name and, in a few words, why that one.

    ``named`` is the user's choice, if any; without one the file as it stands is taken where there is a GPU,
    and ``quick``, if the study has it, where there is none. ``where`` says whose ``gpus`` were counted.
    """
    if named is not None:
        return named, "chosen with --profile"
    if gpus > 0:
        return file.base_profile, f"{where} has {gpus:g} GPU{'s' if gpus != 1 else ''}"
    if "quick" in file.profiles:
        return "quick", f"{where} has no GPU"
    return file.base_profile, "the study has no quick profile"
