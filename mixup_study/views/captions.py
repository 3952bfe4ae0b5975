"""What stands below a table or a figure: what ran, and how its numbers are to be read."""

from __future__ import annotations

from typing import Any

from mixup_study.analysis.findings import Findings
from mixup_study.analysis.machines import find_mixed_rows
from mixup_study.catalogue import CATALOGUE, PERCENT
from mixup_study.study.document import SearchOptions
from mixup_study.study.labels import count_text, key_text, title_text
from mixup_study.study.preferences import marked_by
from mixup_study.study.study import QUOTED, Study

ON_TEST_SET = "†"
"""Mark of an arm whose setting a search picked on the test set."""
QUOTED_MARK = "‡"
"""Mark of a published number that the paper quotes."""


def what_ran(findings: Findings) -> str:
    """Return what ran, in one paragraph: profile, data, network, epochs, seeds, how much is done, what was changed."""
    study, progress = findings.study, findings.progress
    trials = [cell.trial for cell in study.cells]

    def values_of(name: str) -> list[Any]:
        """Return the values of a field among the trials that take it."""
        values = dict.fromkeys(getattr(trial, name) for trial in trials if name in trial.described_by)
        return [value for value in values if value is not None]

    def values_text(name: str) -> str:
        values = values_of(name)
        counted = all(isinstance(value, int) for value in values)
        if counted and len(values) > 5 and values == list(range(values[0], values[0] + len(values))):
            return f"{values[0]} to {values[-1]}"
        return ", ".join(key_text(name, value) for value in values)

    noted = [name for name in CATALOGUE.fields_with("caption") if any(trial.departs(name) for trial in trials)]
    width = f" of width {values_text('width')}" if values_of("width") else ""
    parts = [
        f"data set {values_text('dataset')}" if values_of("dataset") else "",
        f"{values_text('model')}{width}" if values_of("model") else "",
        *(f"{title_text(name)} {values_text(name)}" for name in ("epochs", *noted, "seed") if values_of(name)),
    ]
    stopped = f", {progress.stopped} stopped early" if progress.stopped else ""
    changed = f" Changed with --set: {'; '.join(study.overrides)}." if study.overrides else ""
    return (
        f"Profile {study.profile} ({findings.reason}): {', '.join(filter(None, parts))};"
        f" {progress.done} of {progress.total} trials done{stopped}.{how_found(study)}{changed}"
    )


def how_found(study: Study) -> str:
    """Return how the settings of searched arms were found; empty of a study without searches."""
    if not study.searches:
        return ""
    options, trial = study.searches[0].options, study.searches[0].example.trial
    metric = CATALOGUE.metrics[options.objective]
    held_out = f", of {key_text('validation', trial.validation)} of the training set" if trial.validation else ""
    seeds = len(study.searches[0].seeds)
    mean = f", a mean over {seeds} seeds" if seeds > 1 else ""
    text = (
        f" Settings: of {count_text(options.proposals, 'proposal')} ({options.sampler}, seed {options.seed}) for each"
        f" arm and condition, that with the lowest {metric.title}{held_out}{mean}{_bounds_text(options)}"
    )
    warm_starts = [warm_start for search in study.searches for warm_start in search.warm_starts]
    for name in dict.fromkeys(warm_start.study for warm_start in warm_starts):
        count = sum(warm_start.count for warm_start in warm_starts if warm_start.study == name)
        text += f"; started from {count_text(count, 'setting')} of {name}"
    if options.confirm:
        text += "; trained again with other seeds" + (" on all of it" if trial.validation else "")
    if options.uses_test_set:
        text += f". {ON_TEST_SET} Picked on the test set, on which its errors are too low for that"
    return f"{text}."


def _bounds_text(options: SearchOptions) -> str:
    """Return what the setting had to keep to, as ``, where train error real is at most 5.0%``."""
    bounds = []
    for name, bound in options.at_most.items():
        metric = CATALOGUE.metrics[name]
        bounds.append(f"{metric.title} is at most {metric.unit.text(bound / metric.unit.scale)}")
    return f", where {' and '.join(bounds)}" if bounds else ""


def table_source(study: Study) -> str:
    """Return which table of the paper the study's own follows, as ``Table 2``; empty where it follows none."""
    return "" if study.paper is None or study.paper.table is None else f"Table {study.paper.table}"


def table_notes(findings: Findings) -> str:
    """Return what the caption of the study's table says after its title: what ran, and how to read the numbers."""
    return f"{what_ran(findings)} {_how_to_read(findings)}"


def marked_text(study: Study) -> str:
    """Return which numbers of the table are marked, as ``the lowest``; empty where none are."""
    preferences = [marked_by(column) for column in study.table.columns]
    return " or ".join(dict.fromkeys(f"the {preference.extreme}" for preference in preferences if preference))


def _how_to_read(findings: Findings) -> str:
    study = findings.study
    quantities = [CATALOGUE.metrics[column.metric] for column in study.table.columns]
    nouns = " and ".join(dict.fromkeys(quantity.noun for quantity in quantities if quantity.unit == PERCENT))
    parts = [f"{nouns.capitalize()} in percent."] if nouns else []
    if study.table.baseline is not None:
        overlap = ", corrected for overlapping training sets (Nadeau and Bengio, 2003)"
        note = overlap if findings.splits_differ else ""
        parts.append(f"p: paired t-test against {study.table.baseline} over the seeds{note}.")
    if marked := marked_text(study):
        parts.append(f"{marked.capitalize()} is marked.")
    if findings.has_published:
        parts.append(f"In brackets, {describe_published(study)}.")
        if sources := dict.fromkeys(row[QUOTED] for row in study.published if QUOTED in row):
            parts.append(f"{QUOTED_MARK} Quoted by the paper from {' and '.join(sources)}.")
    if mixed := find_mixed_rows(findings.rows, findings.records):
        kinds = dict.fromkeys(kind for own in mixed.values() for kind in own)
        parts.append(
            f"{count_text(len(mixed), 'row')} of trials from several kinds of machine, whose numbers differ slightly:"
            f" {'; '.join(kinds)}."
        )
    return " ".join(parts)


def describe_published(study: Study) -> str:
    """Return what the published numbers are: what the paper ran, and whether that is what was run here."""
    protocol = f": {study.paper.protocol}" if study.paper and study.paper.protocol else ""
    note = "" if study.as_in_paper else ", which is not what was run here"
    return f"the paper's own numbers{protocol}{note}"
