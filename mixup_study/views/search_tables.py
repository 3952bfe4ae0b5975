"""Lists of what searches have found, and of which fields decide."""

from __future__ import annotations

import math

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.optuna_study import find_importances
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.labels import field_title, name_search, setting_text
from mixup_study.study.search_progress import SearchProgress
from mixup_study.views.sheet import Sheet


def picked_sheet(findings: Findings) -> Sheet:
    """Return what each search has found: its best setting, beside the one that the test set would have picked."""
    rows = []
    for progress in findings.searches:
        best, by_test = progress.best(), _pick_by_test(findings, progress)
        rows.append(
            [
                name_search(findings.study, progress.search),
                f"{progress.ended}/{progress.search.options.proposals}",
                "" if best is None else setting_text(progress.proposals[best]),
                _number_text(progress, None if best is None else progress.result(best)),
                _number_text(progress, None if best is None else _measure_test(findings, progress, best)),
                "" if by_test is None else setting_text(progress.proposals[by_test]),
                _number_text(progress, None if by_test is None else _measure_test(findings, progress, by_test)),
            ]
        )
    label = CATALOGUE.metrics[findings.searches[0].search.options.objective].label if findings.searches else ""
    beside = ("test error (%)", "best on the test set", "its error (%)")
    return Sheet(["search", "proposals", "best setting", label, *beside], rows, numeric=frozenset({1, 3, 4, 6}))


def _number_text(progress: SearchProgress, value: float | None) -> str:
    return "" if value is None else _metric_text(progress.search.options.objective, value)


def _metric_text(name: str, value: float) -> str:
    unit = CATALOGUE.metrics[name].unit
    return f"{unit.scaled(value):.{unit.decimals}f}"


def front_sheet(findings: Findings) -> Sheet:
    """Return the Pareto front of each search that minimises several measurements, with those that have a bound."""
    rows = []
    metrics = findings.searches[0].search.options.metrics if findings.searches else ()
    for progress in findings.searches:
        if len(progress.search.options.minimise) < 2:
            continue
        for number in progress.list_front():
            measured = progress.measured(number)
            assert measured is not None
            numbers = [_metric_text(name, value) for name, value in zip(metrics, measured, strict=True)]
            name = name_search(findings.study, progress.search)
            rows.append([name, str(number), setting_text(progress.proposals[number]), *numbers])
    labels = [CATALOGUE.metrics[name].label for name in metrics]
    return Sheet(["search", "proposal", "setting", *labels], rows, numeric=frozenset({1, *range(3, 3 + len(labels))}))


def importances_sheet(findings: Findings) -> Sheet:
    """Return how much each field decides of what is minimised, in percent of each search."""
    names = list(dict.fromkeys(name for progress in findings.searches for name in progress.search.space))
    rows = []
    for progress in findings.searches:
        importances = find_importances(findings.study, progress)
        if importances:
            name = name_search(findings.study, progress.search)
            rows.append([name, *(f"{importances[field]:.0%}" if field in importances else "" for field in names)])
    return Sheet(["search", *map(field_title, names)], rows, numeric=frozenset(range(1, len(names) + 1)))


def _measure_test(findings: Findings, progress: SearchProgress, number: int) -> float | None:
    """Return the mean test error of a proposal's trials; None unless all of them were trained to their end."""
    metric = progress.search.options.objective.replace("validation_", "test_", 1)
    records = [findings.records.get(trial_id) for trial_id in progress.list_trial_ids(number)]
    values = [record[metric] for record in records if record is not None and metric in record]
    if len(values) < len(records) or any(value is None or math.isnan(value) for value in values):
        return None
    return math.fsum(values) / len(values)


def _pick_by_test(findings: Findings, progress: SearchProgress) -> int | None:
    measured = ((_measure_test(findings, progress, number), number) for number in range(len(progress.proposals)))
    return min(((value, number) for value, number in measured if value is not None), default=(0.0, None))[1]
