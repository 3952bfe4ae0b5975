"""What is allowed in a study, and yet hardly meant."""

from __future__ import annotations

from mixup_study.study.study import Study

SLOW_FOR_GP = 500
"""Results from which on a Gaussian process is slow."""


def list_warnings(study: Study) -> list[str]:
    """Return what a study's author may not have meant, in a line each."""
    return [line for line in (_warn_of_search(study), _warn_of_milestones(study)) if line]


def _warn_of_search(study: Study) -> str | None:
    options = study.searches[0].options if study.searches else None
    if options is None or options.sampler != "gp" or options.proposals <= SLOW_FOR_GP:
        return None
    return (
        f"search: gp takes seconds for each proposal beyond {SLOW_FOR_GP} of {options.proposals:,}, more with each;"
        " tpe takes a tenth of a second at 1,000"
    )


def _warn_of_milestones(study: Study) -> str | None:
    late = [trial for trial in study.trials.values() if trial.milestones and trial.milestones[-1] >= trial.epochs]
    if not late:
        return None
    first = late[0]
    never = ", ".join(str(milestone) for milestone in first.milestones if milestone >= first.epochs)
    of_trials = f"in {len(late)} of {len(study.trials)} trials " if len(late) < len(study.trials) else ""
    return f"milestones: {of_trials}training ends before {never}: after {first.epochs} epochs"
