"""What the results say of a study's searches: how far each is, and the cells that they add to the study."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from mixup_study.analysis.table import Records
from mixup_study.store.ledger import collect_results
from mixup_study.study.expand import Cell
from mixup_study.study.search import Search
from mixup_study.study.search_progress import Pauses, Results, SearchProgress, follow_search
from mixup_study.study.space import Values
from mixup_study.study.study import Study

ReadPauses = Callable[[Collection[str], str, Collection[int]], Pauses]
"""Given trial_ids, a curve and epochs, what the trials measured of it after these."""


def follow_searches(
    study: Study, proposals: Mapping[str, Mapping[int, Values]], records: Records, read_pauses: ReadPauses
) -> list[SearchProgress]:
    """Return how far each search of a study is, by ``proposals`` of each search_id and by the trials' records.

    ``read_pauses`` returns what trials measured after the epochs at which they pause.
    """

    def read(search: Search, trial_ids: Collection[str]) -> tuple[Results, Pauses]:
        known = [records[trial_id] for trial_id in trial_ids if trial_id in records]
        options = search.options
        return collect_results(known, options.metrics), read_pauses(trial_ids, options.curve, options.pauses)

    return [follow_search(search, proposals.get(search.search_id, {}), read) for search in study.searches]


def add_search_cells(study: Study, searches: Sequence[SearchProgress]) -> Study:
    """Return a study with the cells that its searches have tried, and those of the settings that they have found."""
    if not searches:
        return study
    confirmations = {
        progress.search.search_id: progress.search.list_confirmation(progress.proposals[winner])
        for progress in searches
        if (winner := progress.winner()) is not None
    }
    shown: list[Cell] = []
    for search_id, cells in itertools.groupby(study.cells, key=lambda cell: cell.placeholder_of):
        shown += confirmations.get(search_id or "", cells)
    proposed = [cell for progress in searches for cell in progress.list_cells()]
    return replace(study, cells=tuple(shown), proposed=tuple(proposed))
