"""Judged claims as lines of text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

from mixup_study.analysis.claims import ENOUGH_SEEDS, SIGNS, Compared, Judged
from mixup_study.analysis.compare import is_split
from mixup_study.study.study import Study

_SHOWN = 4
"""Of a claim of more comparisons, only the _LEAST that support it least are written out."""
_LEAST = 2
_PICKED = "†"


def verdict_lines(study: Study, claims: Sequence[Judged], format: Literal["text", "markdown"]) -> str:
    """Return the claims, each with its verdict and what was measured, and how to read them; nothing without claims."""
    if not claims:
        return ""
    points = [
        f"{one.sign} {one.text}{f' ({one.section})' if one.section else ''}: {measured_text(study, one)}"
        for one in claims
    ]
    if format == "markdown":
        return "\n".join([verdicts_caption(study, claims), "", *(f"- {point}" for point in points), ""])
    width = min(shutil.get_terminal_size((10_000, 40)).columns, 120)
    caption = textwrap.fill(verdicts_caption(study, claims), width)
    lines = [textwrap.fill(point, width, subsequent_indent="  ", break_on_hyphens=False) for point in points]
    return "\n".join([caption, "", *lines, ""])


def title(study: Study) -> str:
    """Return whose claims are judged."""
    return "The study's claims" if study.paper is None else "The paper's claims"


def verdicts_caption(study: Study, claims: Sequence[Judged]) -> str:
    """Return what the verdicts are of, and how to read them, in one paragraph."""
    compared = [one for claim in claims for one in claim.compared]
    units = {"points": "points of percent", "modes": "modes"}
    unit = " or ".join(units[name] for name in units if any(one.unit == name for one in compared)) or "what is measured"
    pick = study.table.pick
    other = study.paper is not None and not study.as_in_paper
    parts = [
        f"{title(study)}, judged by the results of profile {study.profile}"
        f"{', which is not what the paper ran' if other else ''}: ✓ supported, ✗ contradicted, ? undecided. Differences"
        f" of means in {unit}, with their 95 % bootstrap interval over the seeds."
    ]
    if any(one.seeds == 1 for one in compared):
        parts.append("One seed: the sign of the difference alone decides.")
    if any(1 < one.seeds < ENOUGH_SEEDS for one in compared):
        parts.append(f"Intervals of fewer than {ENOUGH_SEEDS} seeds are too narrow.")
    if is_split(study, list(study.trials)):
        parts.append("Intervals are widened for overlapping training sets (Nadeau and Bengio, 2003).")
    if pick is not None and any(map(_is_picked, compared)):
        parts.append(
            f"{_PICKED} Hyper-parameters picked by {pick.lowest} on the test set, which favours arms that try more of"
            " them."
        )
    return " ".join(parts)


def measured_text(study: Study, claim: Judged) -> str:
    """Return the differences of a claim, and over how many seeds, on one line."""
    compared = claim.compared
    counts = {one.seeds for one in compared if one.seeds}
    alike = len(counts) == 1
    signs = len({one.verdict for one in compared}) > 1
    listed = compared if len(compared) <= _SHOWN else sorted(compared, key=_support)[:_LEAST]
    if not counts and len({one.reason for one in compared}) <= 1:
        return compared[0].reason if compared else "not run"
    texts = []
    for one in listed:
        seeds = "" if alike or not one.seeds else f" ({_seeds_text(one.seeds)})"
        sign = f"{SIGNS[one.verdict]} " if signs else ""
        texts.append(f"{sign}{' '.join(filter(None, [one.label, effect_text(study, one)]))}{seeds}")
    parts = ["; ".join(texts)]
    counted = ", ".join(_counts(compared)) + f" of {len(compared)}"
    if claim.at_least is not None:
        counted += f", {claim.at_least} needed"
    if len(listed) < len(compared):
        parts = [f"{counted}, least supported: {parts[0]}"]
    elif claim.at_least is not None:
        parts = [f"{counted}: {parts[0]}"]
    parts += [_seeds_text(*counts)] if alike else []
    parts += [_PICKED] if any(map(_is_picked, compared)) else []
    return " · ".join(parts)


def effect_text(study: Study, compared: Compared) -> str:
    """Return a difference and its interval, ``−2.1 [−3.0, −1.2]``, or why there is none."""
    if compared.difference is None:
        return compared.reason
    decimals = next((one.decimals for one in study.table.columns if one.metric == compared.metric), 1)
    numbers = [compared.difference, *(compared.interval or ())]
    shown, *ends = [f"{number:+.{decimals}f}".replace("-", "−") for number in numbers]
    return f"{shown} [{', '.join(ends)}]" if ends else shown


def _counts(compared: Sequence[Compared]) -> Iterator[str]:
    for verdict, sign in SIGNS.items():
        count = sum(one.verdict == verdict for one in compared)
        if count:
            yield f"{count} {sign}"


def _seeds_text(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _support(compared: Compared) -> tuple[int, float]:
    order = ("contradicted", "undecided", "supported")
    sign = -1 if compared.claimed == "lower" else 1
    return order.index(compared.verdict), sign * (compared.difference or 0)


def _is_picked(compared: Compared) -> bool:
    return max(compared.first.tried, compared.second.tried) > 1
