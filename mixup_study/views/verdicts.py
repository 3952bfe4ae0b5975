"""Judged claims as lines of text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

from mixup_study.analysis.claims import VERDICT_SIGNS, JudgedClaim, JudgedComparison
from mixup_study.analysis.compare import ENOUGH_SEEDS
from mixup_study.analysis.findings import Findings
from mixup_study.study.preferences import picked_by
from mixup_study.study.study import Study

_LISTED = 4
"""Of a claim of more comparisons, only the _LEAST that support it least are written out."""
_LEAST = 2
_PICKED = "†"


def verdict_lines(findings: Findings, format: Literal["text", "markdown"]) -> str:
    """Return the claims, each with its verdict and what was measured, and how to read them; nothing without claims."""
    claims = findings.claims
    if not claims:
        return ""
    points = [
        f"{claim.sign} {claim.text}{f' ({claim.section})' if claim.section else ''}: {measured_text(findings, claim)}"
        for claim in claims
    ]
    if format == "markdown":
        return "\n".join([verdicts_caption(findings), "", *(f"- {point}" for point in points), ""])
    width = min(shutil.get_terminal_size((10_000, 40)).columns, 120)
    caption = textwrap.fill(verdicts_caption(findings), width)
    lines = [textwrap.fill(point, width, subsequent_indent="  ", break_on_hyphens=False) for point in points]
    return "\n".join([caption, "", *lines, ""])


def verdicts_title(study: Study) -> str:
    """Return whose claims are judged."""
    return "The study's claims" if study.paper is None else "The paper's claims"


def verdicts_caption(findings: Findings) -> str:
    """Return what the verdicts are of, and how to read them, in one paragraph."""
    study = findings.study
    comparisons = [comparison for claim in findings.claims for comparison in claim.comparisons]
    other = study.paper is not None and not study.as_in_paper
    parts = [
        f"{verdicts_title(study)}, judged by the results of profile {study.profile}"
        f"{', which is not what the paper ran' if other else ''}: ✓ supported, ✗ contradicted, ? undecided."
        f" {_effects_text(comparisons)}, with their 95 % bootstrap interval over the seeds."
    ]
    if any(comparison.seeds == 1 for comparison in comparisons):
        parts.append("One seed decides nothing.")
    if any(1 < comparison.seeds < ENOUGH_SEEDS for comparison in comparisons):
        parts.append(f"Intervals of fewer than {ENOUGH_SEEDS} seeds are too narrow.")
    if findings.splits_differ:
        parts.append("Intervals are widened for overlapping training sets (Nadeau and Bengio, 2003).")
    preference = picked_by(study.table)
    if preference is not None and any(map(_is_picked, comparisons)):
        parts.append(
            f"{_PICKED} Hyper-parameters picked by {preference.metric} on the test set, which favours arms that try"
            " more of them."
        )
    return " ".join(parts)


def measured_text(findings: Findings, claim: JudgedClaim) -> str:
    """Return the differences of a claim, and over how many seeds, on one line."""
    comparisons = claim.comparisons
    counts = {comparison.seeds for comparison in comparisons if comparison.seeds}
    alike = len(counts) == 1
    signs = len({comparison.verdict for comparison in comparisons}) > 1
    listed = comparisons if len(comparisons) <= _LISTED else sorted(comparisons, key=_support)[:_LEAST]
    if not counts and len({comparison.reason for comparison in comparisons}) <= 1:
        return comparisons[0].reason if comparisons else "not run"
    texts = []
    for comparison in listed:
        seeds = "" if alike or not comparison.seeds else f" ({_seeds_text(comparison.seeds)})"
        sign = f"{VERDICT_SIGNS[comparison.verdict]} " if signs else ""
        texts.append(f"{sign}{' '.join(filter(None, [comparison.label, effect_text(findings, comparison)]))}{seeds}")
    parts = ["; ".join(texts)]
    counted = ", ".join(_counts(comparisons)) + f" of {len(comparisons)}"
    if claim.at_least is not None:
        counted += f", {claim.at_least} needed"
    if len(listed) < len(comparisons):
        parts = [f"{counted}, least supported: {parts[0]}"]
    elif claim.at_least is not None:
        parts = [f"{counted}: {parts[0]}"]
    parts += [_seeds_text(*counts)] if alike else []
    parts += [_PICKED] if any(map(_is_picked, comparisons)) else []
    return " · ".join(parts)


def effect_text(findings: Findings, comparison: JudgedComparison) -> str:
    """Return a difference and its interval, ``−2.1 [−3.0, −1.2]``, a ratio, ``×2.67 [2.10, 3.00]``, or why none."""
    if comparison.ratio is not None:
        ratio, *ends = [_ratio_text(number) for number in (comparison.ratio, *(comparison.interval or ()))]
        return f"×{ratio} [{', '.join(ends)}]" if ends else f"×{ratio}"
    if comparison.difference is None:
        return comparison.reason
    columns = findings.study.table.columns
    decimals = next((column.decimals for column in columns if column.metric == comparison.metric), 1)
    numbers = [comparison.difference, *(comparison.interval or ())]
    effect, *ends = [f"{number:+.{decimals}f}".replace("-", "−") for number in numbers]
    return f"{effect} [{', '.join(ends)}]" if ends else effect


def _ratio_text(ratio: float) -> str:
    return f"{ratio:.2f}".replace("inf", "∞")


def _effects_text(comparisons: Sequence[JudgedComparison]) -> str:
    differences = [comparison for comparison in comparisons if comparison.times is None]
    if comparisons and not differences:
        return "Effects are ratios of means (×)"
    ratios = " or ratios of means (×)" if len(differences) < len(comparisons) else ""
    return f"Differences of means in {_units_text(differences)}{ratios}"


def _units_text(comparisons: Sequence[JudgedComparison]) -> str:
    units = sorted({comparison.unit for comparison in comparisons}, key=lambda unit: (unit != "points", unit))
    return " or ".join("points of percent" if unit == "points" else unit for unit in units) or "what is measured"


def _counts(comparisons: Sequence[JudgedComparison]) -> Iterator[str]:
    for verdict, sign in VERDICT_SIGNS.items():
        count = sum(comparison.verdict == verdict for comparison in comparisons)
        if count:
            yield f"{count} {sign}"


def _seeds_text(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


def _support(comparison: JudgedComparison) -> tuple[int, float]:
    """Return how far the verdict, and then what was measured, supports the claim; the more, the higher."""
    order = ("contradicted", "undecided", "supported")
    sign = -1 if comparison.claimed == "lower" else 1
    beyond = 0.0
    if comparison.difference is not None:
        beyond = sign * comparison.difference - comparison.by
    elif comparison.ratio is not None and comparison.times is not None:
        beyond = sign * (comparison.ratio - comparison.times)
    return order.index(comparison.verdict), beyond


def _is_picked(comparison: JudgedComparison) -> bool:
    return max(comparison.first.tried, comparison.second.tried) > 1
