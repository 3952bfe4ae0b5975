"""What a shell completes when Tab is pressed after ``mixup-study``: commands, options, studies, profiles, trials."""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import argcomplete
from argcomplete.lexers import split_line

VARIABLE = "_ARGCOMPLETE"
"""Set by the shell, to the place of the program among the words of the line, where it asks for completions."""


def is_asked() -> bool:
    """Return whether a shell has called the command to complete a line."""
    return VARIABLE in os.environ


def complete_line(commands: Mapping[str, str]) -> None:
    """Answer the shell, and end the process: with the names of ``commands``, or what the one on the line takes."""
    _, _, _, words, _ = split_line(os.environ["COMP_LINE"], int(os.environ["COMP_POINT"]))
    place = int(os.environ[VARIABLE])
    if len(words) > place and words[place] in commands:
        os.environ[VARIABLE] = str(place + 1)  # its parser takes the words from there on
        importlib.import_module(f"mixup_study.{words[place]}").main([])
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=list(commands))
    complete_arguments(parser)


def complete_arguments(parser: argparse.ArgumentParser) -> None:
    """Answer the shell with what ``parser`` takes next, and end the process."""
    argcomplete.autocomplete(parser)


def complete_with(action: argparse.Action, completer: Callable[..., Iterable[str]]) -> None:
    """Have an argument completed by what ``completer`` returns."""
    action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks for it


def list_study_files(prefix: str, **words: Any) -> Iterable[str]:
    """Return the study files and folders that begin with ``prefix``, and the studies that come with the package."""
    from argcomplete.completers import FilesCompleter

    from mixup_study.study.shipped import list_shipped

    return [*FilesCompleter(("yaml",))(prefix), *list_shipped()]


def list_profiles(parsed_args: argparse.Namespace, **words: Any) -> Iterable[str]:
    """Return the profiles of the studies on the line."""
    return [profile for file in _studies(parsed_args) for profile in file.profiles]


def list_arms(parsed_args: argparse.Namespace, **words: Any) -> Iterable[str]:
    """Return the arms of the study on the line."""
    return {cell.arm for file in _studies(parsed_args) for cell in file.load(file.base_profile).cells}


def list_trial_ids(parsed_args: argparse.Namespace, **words: Any) -> Iterable[str]:
    """Return the trial_ids of the trials that the results hold."""
    from mixup_study.store.store import ResultStore

    trial_ids: list[str] = ResultStore(parsed_args.results, lambda line: None).trials()["trial_id"].to_pylist()
    return trial_ids


def _studies(parsed_args: argparse.Namespace) -> list[Any]:
    from mixup_study.study.shipped import find_study
    from mixup_study.study.study import StudyFile

    paths = getattr(parsed_args, "studies", None) or [getattr(parsed_args, "study", None)]
    return [StudyFile(find_study(str(path))) for path in paths if path]
