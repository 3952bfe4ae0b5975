"""How values, settings, trials, durations and times are written."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.expand import Cell
from mixup_study.study.search import Search
from mixup_study.study.search_progress import SearchProgress
from mixup_study.study.study import Study
from mixup_study.study.trial import Trial

ARM_SEPARATOR = " / "
"""Arms named ``method / specification`` stand in two columns of the table."""


def setting_text(setting: Mapping[str, Any]) -> str:
    """Return hyper-parameters as the paper writes them: ``α=8, p=0.3``."""
    order = [name for name in CATALOGUE.fields if name in setting and name not in CATALOGUE.seeds]
    order.sort(key=lambda name: name != "alpha")
    return ", ".join(f"{CATALOGUE.fields[name].traits.sign or name}={_value_text(setting[name])}" for name in order)


def _value_text(value: Any) -> str:
    return "∞" if isinstance(value, float) and math.isinf(value) else plain(value)


def cell_labels(study: Study) -> dict[str, str]:
    """Return what each trial is within its study, in a few words: ``label noise 20%, mixup, α=8, seed=1``."""
    outer = [name for name in study.table.keys if name != "arm"]
    needed = CATALOGUE.fields_with("needed")
    cells = study.every_cell
    varied = [name for name in list_varied(cell.trial for cell in cells) if name not in needed]
    named = {"method", *outer, *(name for cell in cells for name in (*cell.settings, *cell.implied))}
    others = [name for name in varied if name not in named]
    return {cell.trial.trial_id: _label_cell(cell, outer, others) for cell in cells}


def label_searched(study: Study, cell: Cell) -> str:
    """Return the same of a cell that a search tries, or confirms, with all of its seeds."""
    outer = [name for name in study.table.keys if name != "arm"]
    seeds = [name for name in CATALOGUE.seeds if name not in outer and cell.trial.departs(name)]
    return _label_cell(cell, outer, seeds)


def _label_cell(cell: Cell, outer: Iterable[str], others: Iterable[str]) -> str:
    condition = condition_text({name: getattr(cell.trial, name) for name in outer})
    settings = {name: getattr(cell.trial, name) for name in cell.settings}
    taken = cell.trial.described_by
    rest = [f"{name}={plain(getattr(cell.trial, name))}" for name in others if name in taken]
    return ", ".join(filter(None, [condition, cell.arm, setting_text(settings), *rest]))


def describe_condition(study: Study, search: Search) -> str:
    """Return under which values of the table's fields a search is, as ``label noise 50%``; empty where none vary."""
    trial = search.example.trial
    return condition_text({name: getattr(trial, name) for name in study.table.keys if name != "arm"})


def condition_text(values: Mapping[str, Any]) -> str:
    """Return values of the table's fields, but for those that a trial does not take: ``label noise 50%, alpha 1``."""
    return ", ".join(
        f"{title_text(name)} {key_text(name, value)}" for name, value in values.items() if value is not None
    )


def name_search(study: Study, search: Search) -> str:
    """Return what a search is called within its study: ``label noise 50%, mixup``."""
    return ", ".join(filter(None, [describe_condition(study, search), search.arm]))


def describe_search(progress: SearchProgress) -> str:
    """Return how far a search is and what it has found: ``13/64 proposals, best so far 4.2%: α=0.31, p=0.2``."""
    search, best = progress.search, progress.best()
    text = f"{progress.ended}/{search.options.proposals} proposals"
    if best is None:
        return text
    result = progress.result(best)
    assert result is not None
    unit = CATALOGUE.metrics[search.options.objective].unit
    above = "" if progress.keeps_bounds(best) else " (above a bound, as all are)"
    return f"{text}, best so far {unit.text(result)}{above}: {setting_text(progress.proposals[best])}"


def model_labels(study: Study) -> dict[str, str]:
    """Return what each model is that the study has a name for, by the trial_id: ``model ERM A, dataset=patches``."""
    named: dict[str, dict[str, Trial]] = {}
    for cell in study.cells:
        for name, trial in zip(cell.models, cell.trial.needs, strict=False):
            if name:
                named.setdefault(name, {})[trial.trial_id] = trial
    labels: dict[str, str] = {}
    for name, trials in named.items():
        varied = list_varied(trials.values())
        for trial_id, trial in trials.items():
            values = (f"{field}={plain(getattr(trial, field))}" for field in varied)
            labels.setdefault(trial_id, ", ".join([f"model {name}", *values]))
    return labels


def list_varied(trials: Iterable[Trial]) -> list[str]:
    """Return the fields that trials differ in, but for those that follow from their components: their defaults."""
    values: dict[str, set[Any]] = {}
    counts: Counter[str] = Counter()
    listed = list(trials)
    for trial in listed:
        for name, value in trial.list_departures().items():
            counts[name] += 1
            values.setdefault(name, set()).add(value)
    return [name for name in CATALOGUE.fields if len(values.get(name, ())) > 1 or 0 < counts[name] < len(listed)]


def headline_text(task: str, value: float) -> str:
    """Return how a trial is doing: ``test error 12.5%``, ``modes covered 8``."""
    entry = CATALOGUE.tasks[task]
    quantity = entry.headline_curve or entry.headline_metric
    return f"{quantity.title} {quantity.unit.text(value)}"


def key_text(name: str, value: Any) -> str:
    """Return a row's label: the arm's name, a share in percent, else the plain value."""
    field = CATALOGUE.fields.get(name)
    if field is None or field.traits.unit is None:
        return _value_text(value)
    return f"{field.traits.unit.scaled(value):g}{field.traits.unit.name}"


def count_text(count: int, noun: str) -> str:
    """Return a number of things: ``1 model``, ``2 models``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def title_text(name: str) -> str:
    """Return a field's name as a heading."""
    return "method" if name == "arm" else name.replace("_", " ")


def field_title(name: str) -> str:
    """Return a hyper-parameter's name with the paper's sign for it, if any: ``alpha α``."""
    sign = CATALOGUE.fields[name].traits.sign
    return f"{title_text(name)} {sign}" if sign else title_text(name)


def plain(value: Any) -> str:
    """Return a value without trailing zeros, a needed trial by its trial_id; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, Trial):
        return value.trial_id
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: ``12.3 s``, ``4 min 5 s``, ``2 h 10 min``, ``3 d 4 h``.

    Below a minute, seconds that are no whole number in type are written with a tenth.
    """
    if round(seconds, 1) < 60:
        return f"{seconds} s" if isinstance(seconds, int) else f"{seconds:.1f} s"
    units = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
    large, name, small, rest = next(unit for unit in units if round(seconds) >= unit[0])
    return f"{round(seconds) // large} {name} {round(seconds) % large // small} {rest}"


def time_text(time: datetime) -> str:
    """Return a time to the minute, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
