"""Optuna as a function: what its sampler proposes next, given a search's results in the order of their proposals."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from mixup_study.study.seeds import stream_seed
from mixup_study.study.space import Distribution, Values

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Space = Mapping[str, Distribution]


class Observation(NamedTuple):
    """A proposal whose trials have ended, and what they measured of what is minimised."""

    values: Values
    objectives: tuple[float, ...]
    """Each of what is minimised."""
    stopped_after: int | None = None
    """The epoch, or the number of seeds, after which they were stopped, where they were."""
    excesses: Mapping[str, float] = MappingProxyType({})
    """How far they are above the bound of each metric that has one; below it where negative."""


def sample(
    sampler: str, seed: int, space: Space, results: Sequence[Observation], pending: Sequence[Values]
) -> dict[str, Any]:
    """Return the values of the next proposal, rounded.

    ``results`` are the earlier proposals whose trials have ended, in their order, and ``pending`` those after them, of
    which only the values are known. The same arguments give the same proposal: a sampler that had lived through the
    search, or heard of it in another order, would propose otherwise.
    """
    number = len(results) + len(pending)
    if sampler == "qmc":
        drawn = _QuasiRandom.of(seed, space).draw(number)
    else:
        built = _build_sampler(sampler, stream_seed(seed, "proposal", number) % 2**32)
        drawn = _ask(built, space, results, pending) if sampler != "random" else _ask(built, space, (), ())
    return {name: distribution.round(drawn[name]) for name, distribution in space.items()}


def build_trial(
    distributions: Mapping[str, BaseDistribution], proposal: Observation | Values, **more: Any
) -> FrozenTrial:
    """Return a proposal as a trial of Optuna; ``more`` goes to ``optuna.trial.create_trial`` as it is.

    It is complete with what was measured, pruned with what was measured until then, or running where only the values
    are known.
    """
    from optuna.trial import TrialState, create_trial

    if not isinstance(proposal, Observation):
        return create_trial(
            **{"state": TrialState.RUNNING, **more}, params=dict(proposal), distributions=dict(distributions)
        )
    stopped = proposal.stopped_after
    trial = create_trial(
        state=TrialState.COMPLETE if stopped is None else TrialState.PRUNED,
        values=proposal.objectives,
        params=dict(proposal.values),
        distributions=dict(distributions),
        intermediate_values=None if stopped is None else {stopped: proposal.objectives[0]},
        **more,
    )
    for metric, excess in proposal.excesses.items():
        trial.set_constraint(metric, excess)
    return trial


def build_distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return the distributions of a space as Optuna has them."""
    return {name: _build_distribution(distribution) for name, distribution in space.items()}


def _ask(
    sampler: BaseSampler, space: Space, results: Sequence[Observation], pending: Sequence[Values]
) -> dict[str, Any]:
    import optuna

    distributions = build_distributions(space)
    objectives = len(results[0].objectives) if results else 1
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
    proposals: list[Observation | Values] = [*results, *pending]
    for proposal in proposals:
        study.add_trial(build_trial(distributions, proposal))
    return study.ask(distributions).params


def _build_sampler(name: str, seed: int) -> BaseSampler:
    import optuna

    _silence()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "random":
                return optuna.samplers.RandomSampler(seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
            case "qmc":
                return optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def _build_distribution(distribution: Distribution) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if distribution.choice is not None:
        return CategoricalDistribution(distribution.choice)
    low, high = distribution.bounds
    if distribution.is_int:
        return IntDistribution(low, high, log=distribution.is_log)
    return FloatDistribution(low, high, log=distribution.is_log)


def _silence() -> None:
    """Leave the terminal to the study: Optuna logs each trial that it hears of."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


class _QuasiRandom:
    """A scrambled Sobol sequence, whose points no result changes; drawn from its beginning, and remembered."""

    def __init__(self, seed: int, space: Space) -> None:
        import optuna

        self._distributions = build_distributions(space)
        self._study = optuna.create_study(sampler=_build_sampler("qmc", seed))
        self._drawn: list[dict[str, Any]] = []

    @classmethod
    def of(cls, seed: int, space: Space) -> _QuasiRandom:
        return _quasi_random(
            seed, tuple((name, distribution.model_dump_json()) for name, distribution in space.items())
        )

    def draw(self, number: int) -> dict[str, Any]:
        """Return the point of this number."""
        while len(self._drawn) <= number:
            trial = self._study.ask(self._distributions)
            self._drawn.append(trial.params)
            self._study.tell(trial, 0.0)
        return self._drawn[number]


@cache
def _quasi_random(seed: int, space: tuple[tuple[str, str], ...]) -> _QuasiRandom:
    return _QuasiRandom(seed, {name: Distribution.model_validate_json(text) for name, text in space})
