"""What a paper says of a study under Methods: what was run, on what, with which seeds, and whom to cite."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from mixup_study.analysis.findings import Findings
from mixup_study.catalogue import CATALOGUE
from mixup_study.study.labels import field_title, key_text, plain
from mixup_study.study.preferences import picked_by
from mixup_study.study.trial import Trial
from mixup_study.views.captions import describe_published, how_found
from mixup_study.views.latex import escape_latex
from mixup_study.views.references import REFERENCES, Reference, cite_software
from mixup_study.views.trial_texts import ORIGINS

TEXT_WIDTH = 100
"""Characters of a line of the paragraphs as text."""
_MACHINE = ("device", "cpu_model", "instruction_set")
"""Columns of a record that say on what it was trained."""
MethodsFormat = Literal["text", "markdown", "latex"]
_CITATION = re.compile(r" \[@(\w+)\]")
"""How the sentences cite, as Pandoc reads it."""


def list_paragraphs(findings: Findings) -> list[str]:
    """Return the paragraphs, which cite as in ``PyTorch [@paszke2019pytorch] 2.7.0``.

    Defaults are written out, so that they say all that decides the numbers.
    """
    parts = (_training, _arms, _numbers, _software)
    return [text for part in parts if (text := " ".join(part(findings)))]


def list_references(findings: Findings) -> list[Reference]:
    """Return what the paragraphs cite, in that order."""
    keys = dict.fromkeys(_CITATION.findall(" ".join(list_paragraphs(findings))))
    known = {**REFERENCES, "mixup_study": cite_software(_values(findings, "code_version"))}
    return [known[key] for key in keys]


def render_methods(findings: Findings, format: MethodsFormat) -> str:
    """Return the paragraphs and the BibTeX entries of what they cite, as they stand below a table."""
    references = list_references(findings)
    paragraphs = [cite(text, references, format) for text in list_paragraphs(findings)]
    bibtex = "\n\n".join(reference.bibtex for reference in references)
    if format == "latex":
        comment = "".join(f"% {line}".rstrip() + "\n" for line in bibtex.splitlines())
        return "\\paragraph{Methods}\n" + "\n\n".join(paragraphs) + f"\n\n% The entries that it cites:\n{comment}"
    if format == "markdown":
        return "**Methods.** " + "\n\n".join(paragraphs) + f"\n\n```bibtex\n{bibtex}\n```\n"
    lines = [textwrap.fill(text, TEXT_WIDTH, break_on_hyphens=False) for text in paragraphs]
    return "Methods\n\n" + "\n\n".join(lines) + f"\n\nBibTeX\n\n{bibtex}\n"


def cite(text: str, references: Iterable[Reference], format: MethodsFormat) -> str:
    """Return a paragraph with its citations as the format writes them; Markdown has Pandoc's."""
    if format == "markdown":
        return text
    if format == "latex":
        before, *rest = _CITATION.split(text)
        pieces = [f"~\\cite{{{key}}}{escape_latex(piece)}" for key, piece in zip(rest[::2], rest[1::2], strict=True)]
        return escape_latex(before) + "".join(pieces)
    names = {reference.key: reference.name for reference in references}
    return _CITATION.sub(lambda match: f" ({names[match[1]]})", text)


def _training(findings: Findings) -> Iterator[str]:
    """Yield what all trials have in common, and in which fields they differ."""
    study = findings.study
    trials = [cell.trial for cell in study.every_cell]
    changed = f", changed with {'; '.join(study.overrides)}" if study.overrides else ""
    progress = findings.progress
    ended = [f"{progress.done} of {progress.total} trials are done"]
    ended += [f"{progress.failed} failed"] if progress.failed else []
    ended += [f"{progress.stopped} were stopped early"] if progress.stopped else []
    yield f"Study {study.name}, profile {study.profile}{changed}: {', '.join(ended)}."
    shared, varied = _split_fields(trials)
    if settings := _list_settings(trials, shared):
        yield f"All trials share {_join(settings)}; what is not named is off or zero."
    if titles := [field_title(name) for name in varied if name not in CATALOGUE.seeds]:
        yield f"They differ in {_join(titles)}."
    for setting in _list_settings(trials, [name for name in varied if name in CATALOGUE.seeds]):
        yield f"Trials were repeated with {setting}."


def _arms(findings: Findings) -> Iterator[str]:
    """Yield what each arm is of the fields in which trials differ."""
    cells = findings.study.every_cell
    _, varied = _split_fields([cell.trial for cell in cells])
    names = [name for name in varied if name not in {*findings.study.table.keys, *CATALOGUE.seeds}]
    arms = []
    for arm in findings.arms:
        settings = _list_settings([cell.trial for cell in cells if cell.arm == arm], names)
        arms.append(f"{arm} ({', '.join(settings)})" if settings else arm)
    if len(arms) > 1:
        yield f"Arms: {'; '.join(arms)}."


def _numbers(findings: Findings) -> Iterator[str]:
    """Yield how the table's numbers come from those of trials."""
    study = findings.study
    if found := how_found(study):
        yield found.strip()
    elif preference := picked_by(study.table):
        title = CATALOGUE.metrics[preference.metric].title
        yield f"Of each arm the setting with the {preference.extreme} mean {title} is reported."
    if max((len(row.trials) for row in findings.rows), default=0) > 1:
        yield "Numbers are means over the seeds, ± the standard deviation of a sample."
    if study.table.baseline is not None:
        corrected = ", corrected for overlapping training sets [@nadeau2003inference]" if findings.splits_differ else ""
        yield f"p-values are those of paired t-tests against {study.table.baseline} over the seeds{corrected}."
    if findings.has_published:
        yield f"Beside those measured stand {describe_published(study)} [@zhang2018mixup]."
    elif study.paper is not None:
        yield "The study follows mixup: Beyond Empirical Risk Minimization [@zhang2018mixup]."


def _software(findings: Findings) -> Iterator[str]:
    """Yield versions and machines; nothing where there are no records."""
    versions = {name: ", ".join(_values(findings, f"{name}_version")) for name in ("torch", "numpy", "python", "ray")}
    code = ", ".join(_values(findings, "code_version"))
    cited = {"torch": "PyTorch [@paszke2019pytorch]", "numpy": "NumPy", "python": "Python"}
    trained = [f"{title} {versions[name]}" for name, title in cited.items() if versions[name]]
    if not trained:
        return
    yield f"Trials were trained with {_join([f'mixup_study [@mixup_study] {code}', *trained])}."
    if versions["ray"]:
        yield f"Ray [@moritz2018ray] Tune [@liaw2018tune] {versions['ray']} scheduled them."
    if findings.study.searches:
        yield "Optuna [@akiba2019optuna] proposed the settings."
    machines = [f"{ORIGINS[name]} {', '.join(values)}" for name in _MACHINE if (values := _values(findings, name))]
    if machines:
        yield f"They ran on {'; '.join(machines)}."


def _values(findings: Findings, column: str) -> list[str]:
    """Return the distinct values of a column among the study's records, in their order."""
    records = (findings.records.get(trial_id) for trial_id in findings.study.trials)
    return sorted({record[column] for record in records if record is not None and record[column] is not None})


def _split_fields(trials: Sequence[Trial]) -> tuple[list[str], list[str]]:
    """Return the fields that all trials take with one value, and the others; neither those that are off in all.

    The trials whose models an evaluation needs are no fields of it here.
    """
    shared: list[str] = []
    varied: list[str] = []
    for name in CATALOGUE.fields:
        taking = [trial for trial in trials if name in trial.described_by]
        values = {getattr(trial, name) for trial in taking}
        if name not in CATALOGUE.fields_with("needed") and any(_is_on(name, value) for value in values):
            (shared if len(taking) == len(trials) and len(values) == 1 else varied).append(name)
    return shared, varied


def _list_settings(trials: Sequence[Trial], names: Iterable[str]) -> list[str]:
    """Return the values that fields have among trials, as ``alpha α 2, 8``; without a field that is off in all."""
    settings = []
    for name in names:
        values = dict.fromkeys(getattr(trial, name) for trial in trials if name in trial.described_by)
        texts = [_value_text(name, value) for value in values if _is_on(name, value)]
        if texts:
            settings.append(f"{field_title(name)} {', '.join(texts)}".strip())
    return settings


def _is_on(name: str, value: Any) -> bool:
    """Return whether a value does anything: no seed is zero in this sense."""
    return value is not None and (name in CATALOGUE.seeds or value not in (False, 0, ()))


def _value_text(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return " and ".join(map(plain, value))
    return "" if value is True else key_text(name, value)


def _join(texts: Sequence[str]) -> str:
    """Return texts as an enumeration: ``a, b and c``."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
