"""The paper's claims as the report shows them: each verdict, and every comparison that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixup_study.analysis.claims import VERDICT_SIGNS, JudgedClaim, JudgedComparison, Side, Verdict
from mixup_study.analysis.findings import Findings
from mixup_study.study.labels import setting_text
from mixup_study.views.sheet import Sheet
from mixup_study.views.verdicts import effect_text, measured_text, verdicts_caption


@dataclass(frozen=True)
class ClaimEntry:
    """A claim with its verdict, what was measured in one line, and its comparisons."""

    claim: JudgedClaim
    measured: str
    comparisons: Sheet


@dataclass(frozen=True)
class ClaimList:
    """The claims, how many of each verdict there are, and how to read them."""

    entries: Sequence[ClaimEntry]
    counts: Sequence[tuple[str, Verdict, int]]
    caption: str


def list_claims(findings: Findings) -> ClaimList | None:
    """Return the study's claims, judged; None where it lists none."""
    claims = findings.claims
    if not claims:
        return None
    counts = [
        (sign, verdict, sum(claim.verdict == verdict for claim in claims)) for verdict, sign in VERDICT_SIGNS.items()
    ]
    return ClaimList([_entry(findings, claim) for claim in claims], counts, verdicts_caption(findings))


def _entry(findings: Findings, claim: JudgedClaim) -> ClaimEntry:
    kinds = dict.fromkeys("difference" if comparison.times is None else "ratio" for comparison in claim.comparisons)
    headings = ["", "comparison", "claimed", "measured", " or ".join(kinds) or "difference", "seeds"]
    rows = [
        [
            VERDICT_SIGNS[comparison.verdict],
            ", ".join(
                filter(
                    None,
                    [comparison.label, comparison.quantity if comparison.quantity not in comparison.label else ""],
                )
            ),
            f"{_side_text(comparison.first)} {_claimed_text(comparison)} {_side_text(comparison.second)}",
            f"{_mean_text(comparison.first)}, {_mean_text(comparison.second)}",
            effect_text(findings, comparison),
            str(comparison.seeds or ""),
        ]
        for comparison in claim.comparisons
    ]
    comparisons = Sheet(headings, rows, numeric=frozenset({3, 4, 5}))
    return ClaimEntry(claim, measured_text(findings, claim), comparisons)


def _claimed_text(comparison: JudgedComparison) -> str:
    if comparison.times is None:
        return f"{comparison.claimed} than"
    return f"at {'least' if comparison.claimed == 'higher' else 'most'} {comparison.times:g} times"


def _side_text(side: Side) -> str:
    setting = setting_text(side.setting)
    return f"{side.arm} ({setting})" if setting else side.arm


def _mean_text(side: Side) -> str:
    return "–" if side.mean is None else f"{side.mean:.2f}"
