"""Trials by the beginning of their ids."""

from __future__ import annotations

from collections.abc import Collection

from mixup_study.errors import InputError, nearest, shown


def find_trial_id(text: str, trial_ids: Collection[str], place: str) -> str:
    """Return the one of some trial_ids that begins with ``text``; ``place`` says where they were looked for.

    Raises InputError where there is none, or more than one.
    """
    fitting = sorted(trial_id for trial_id in trial_ids if text and trial_id.startswith(text))
    if text in trial_ids or len(fitting) == 1:
        return text if text in trial_ids else fitting[0]
    if fitting:
        more = ", …" if len(fitting) > 3 else ""
        raise InputError(
            f"{shown(text)}: {len(fitting)} trials in {place} begin so; expected one of {', '.join(fitting[:3])}{more}"
        )
    hint = nearest(text, trial_ids) or f"; expected the beginning of one of its {len(trial_ids)} trial_ids"
    raise InputError(f"{shown(text)}: no such trial in {place}{hint}")
