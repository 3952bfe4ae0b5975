"""The paper's claims as the report shows them: each verdict, and every comparison that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixup_study.analysis.claims import SIGNS, Judged, Side, Verdict, judge
from mixup_study.analysis.table import Records
from mixup_study.study.labels import setting_text
from mixup_study.study.study import Study
from mixup_study.views.report.charts import Numbers
from mixup_study.views.verdicts import effect_text, measured_text, verdicts_caption


@dataclass(frozen=True)
class Shown:
    """A claim with its verdict, what was measured in one line, and its comparisons."""

    sign: str
    verdict: Verdict
    text: str
    section: str | None
    measured: str
    comparisons: Numbers


@dataclass(frozen=True)
class Verdicts:
    """The claims, how many of each verdict there are, and how to read them."""

    claims: Sequence[Shown]
    counts: Sequence[tuple[str, Verdict, int]]
    caption: str


def verdicts(study: Study, records: Records) -> Verdicts | None:
    """Return the study's claims, judged; None where it lists none."""
    judged = judge(study, records)
    if not judged:
        return None
    counts = [(sign, verdict, sum(one.verdict == verdict for one in judged)) for verdict, sign in SIGNS.items()]
    return Verdicts([_shown(study, one) for one in judged], counts, verdicts_caption(study, judged))


def _shown(study: Study, claim: Judged) -> Shown:
    headings = ["", "comparison", "claimed", "measured", "difference", "seeds"]
    rows = [
        [
            SIGNS[one.verdict],
            ", ".join(filter(None, [one.label, one.quantity if one.quantity not in one.label else ""])),
            f"{_side(one.first)} {one.claimed} than {_side(one.second)}",
            f"{_mean(one.first)}, {_mean(one.second)}",
            effect_text(study, one),
            str(one.seeds or ""),
        ]
        for one in claim.compared
    ]
    comparisons = Numbers(headings, rows, frozenset({3, 4, 5}))
    return Shown(claim.sign, claim.verdict, claim.text, claim.section, measured_text(study, claim), comparisons)


def _side(side: Side) -> str:
    setting = setting_text(side.setting)
    return f"{side.arm} ({setting})" if setting else side.arm


def _mean(side: Side) -> str:
    return "–" if side.mean is None else f"{side.mean:.2f}"
