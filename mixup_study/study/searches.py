"""The searches that a study file declares, and what keeps them from being any."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from mixup_study.catalogue import CATALOGUE
from mixup_study.errors import nearest
from mixup_study.study.data_files import FILE_DIGEST, DataFiles
from mixup_study.study.document import Document, SearchOptions
from mixup_study.study.expand import Axes, Combination, Composer, list_settings
from mixup_study.study.search import Search
from mixup_study.study.source import KeyPath, Source
from mixup_study.study.space import Values


def list_searches(document: Document, source: Source, files: DataFiles) -> Iterator[Search]:
    """Yield the searches of a study in the order of its arms, given what data files hold.

    Raises InputError for what makes no trial.
    """
    options = document.search
    if options is None:
        return
    for arm in options.space:
        if arm not in document.arms:
            raise source.error(("search", "space", arm), f"expected an arm{nearest(arm, document.arms)}", value=arm)
    _check_confirm(options, source)
    composer = Composer(document, source, files)
    naming = {name for dataset in CATALOGUE.data_sets.values() for name in (*dataset.naming_fields, FILE_DIGEST)}
    for arm, own in document.arms.items():
        if arm not in options.space:
            continue
        space = options.space[arm]
        if not space:
            raise source.error(("search", "space", arm), "expected a field to search", value=space)
        for name in space:
            at: KeyPath = ("search", "space", arm, name)
            if name not in CATALOGUE.fields:
                known = nearest(name, CATALOGUE.fields)
                raise source.error(at, f"unknown key; expected a field of a trial{known}")
            if name in own:
                raise source.error(("arms", arm, name), "search.space has it too; expected it in one place")
            traits = CATALOGUE.fields[name].traits
            if traits.seed or traits.needed or name in CATALOGUE.kinds or name in naming:
                raise source.error(at, "expected a hyper-parameter", value=name)
        lowest = {name: distribution.extremes[0] for name, distribution in space.items()}
        first = tuple(_list_first(options, arm, source))
        groups: dict[str, list[Combination]] = {}
        for combination in Axes(document, source, arm, {**own, **lowest}).combine():
            _check_trials(composer, arm, options, first, combination, source)
            fixed, _ = _split(combination, space)
            groups.setdefault(json.dumps(fixed, sort_keys=True, default=str), []).append(combination)
        for combinations in groups.values():
            fixed, _ = _split(combinations[0], space)
            search = Search(
                arm,
                composer.complete({**document.trial, **fixed}, ("arms", arm)),
                tuple(_split(combination, space)[1] for combination in combinations),
                (*list_settings(own), *space),
                combinations[0].implied,
                space,
                first,
                options,
            )
            _check_measured(search, source)
            yield search


def _split(combination: Combination, space: Collection[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the values of a combination that all trials of a search share, and those of the seeds."""
    values = {name: value for name, value in combination.values.items() if name not in space}
    seeds = {name: values.pop(name) for name in CATALOGUE.seeds if name in values}
    return values, seeds


def _check_trials(
    composer: Composer,
    arm: str,
    options: SearchOptions,
    first: Sequence[Values],
    combination: Combination,
    source: Source,
) -> None:
    """Raise InputError unless trials may have both bounds of each field, or every choice, and what is confirmed."""
    space = options.space[arm]
    at: KeyPath = ("search", "space", arm)
    settings = [{name: extreme} for name, distribution in space.items() for extreme in distribution.extremes]
    places = {**combination.places, **{name: (*at, name) for name in space}}
    for setting in (*settings, *first):
        trial = composer.compose_trial(arm, {**combination.values, **setting}, places)
        if trial.evaluated is not None:
            raise source.error(at, f"task {trial.task} evaluates; expected an arm whose trials train")
    if options.confirm:
        confirmed: dict[str, Any] = {name: seeds[0] for name, seeds in options.confirm.items()}
        if "validation" in trial.components.fields:
            confirmed["validation"] = 0.0
        places |= {name: ("search", "confirm", name) for name in options.confirm}
        composer.compose_trial(arm, {**combination.values, **confirmed}, places)


def _check_confirm(options: SearchOptions, source: Source) -> None:
    for name, seeds in options.confirm.items():
        at: KeyPath = ("search", "confirm", name)
        if name not in CATALOGUE.seeds:
            raise source.error(
                at, f"expected a seed, one of {', '.join(CATALOGUE.seeds)}{nearest(name, CATALOGUE.seeds)}"
            )
        if not seeds or len(set(seeds)) < len(seeds):
            raise source.error(at, "expected values, each once", value=seeds)


def _list_first(options: SearchOptions, arm: str, source: Source) -> Iterator[Values]:
    """Yield the settings that an arm tries first, each once. Raises InputError for one outside its space."""
    space = options.space[arm]
    known = {name for own in options.space.values() for name in own}
    seen: list[Values] = []
    for index, setting in enumerate(options.first):
        at: KeyPath = ("search", "first", index)
        for name in setting:
            if name not in known:
                raise source.error((*at, name), f"expected a field of search.space{nearest(name, known)}")
        for name, distribution in space.items():
            if name not in setting:
                raise source.error(at, f"expected a value of {name}, which {arm} searches")
            if not distribution.contains(setting[name]):
                raise source.error((*at, name), f"expected a value within the space of {arm}", value=setting[name])
        values = {name: setting[name] for name in space}
        if values not in seen and len(seen) < options.proposals:
            seen.append(values)
            yield values


def _check_measured(search: Search, source: Source) -> None:
    """Raise InputError for a metric that its trials do not measure, or should not be searched by."""
    options, trial = search.options, search.example.trial
    several = len(options.minimise) > 1
    places: list[tuple[KeyPath, str]] = [
        (("search", "minimise", index) if several else ("search", "minimise"), metric)
        for index, metric in enumerate(options.minimise)
    ]
    places += [(("search", "at_most", metric), metric) for metric in options.at_most]
    for index, (at, metric) in enumerate(places):
        if metric in [earlier for _, earlier in places[:index]]:
            raise source.error(at, "the measurement stands in minimise already; expected it once", value=metric)
        _check_metric(search, at, metric, source)
    at, metric = places[0]
    if several and (options.stop or options.race):
        key = "race" if options.stop is None else "stop"
        raise source.error(at[:2], f"expected one measurement beside search.{key}", value=list(options.minimise))
    _check_race(search, source)
    pauses = options.pauses
    if pauses:
        curves = [curve.name for curve in trial.components.task.curves]
        if options.curve not in curves:
            raise source.error(at, "it is not known before the last epoch; expected no search.stop", value=metric)
        rising = all(earlier < later for earlier, later in itertools.pairwise([0, *pauses, trial.trained_epochs]))
        if not rising:
            expected = f"expected epochs from 1 to {trial.trained_epochs - 1}, rising"
            raise source.error(("search", "stop", "after"), expected, value=list(pauses))


def _check_metric(search: Search, at: KeyPath, metric: str, source: Source) -> None:
    trial = search.example.trial
    measured = trial.components.task.metric_names
    if metric not in measured:
        raise source.error(
            at, f"trials of task {trial.task} do not measure it; expected one of {', '.join(measured)}", value=metric
        )
    if CATALOGUE.metrics[metric].better != "lower":
        raise source.error(at, "more of it is better; expected a measurement of which less is", value=metric)
    if metric.startswith("test_") and not search.options.on_test_set:
        raise source.error(
            at,
            "a setting picked by its test error makes that error too low; expected validation_error_last, or"
            " search.on_test_set: true",
            value=metric,
        )
    dataset = trial.components.dataset
    own = dataset is not None and "validation" in dataset.provides
    if metric.startswith("validation_") and not own and not trial.validation:
        raise source.error(
            at, "nothing is held out to measure it on; expected trial.validation, as in 0.1", value=metric
        )


def _check_race(search: Search, source: Source) -> None:
    """Raise InputError for a race that no proposal can lose."""
    race, seeds = search.options.race, len(search.seeds)
    if race is None:
        return
    if search.options.stop is not None:
        raise source.error(("search", "race"), "expected it without search.stop")
    least = max(race.after, next(count for count in itertools.count(1) if 0.5**count < race.p))
    if seeds <= least:
        raise source.error(
            ("search", "race"),
            f"no proposal can lose it at p = {race.p:g}; expected at least {least + 1} values of the grid's seeds",
            value=seeds,
        )
