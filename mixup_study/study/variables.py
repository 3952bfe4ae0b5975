"""Variables of a study file: values with a name, written once and used in several places."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from copy import deepcopy
from typing import Any

from mixup_study.errors import nearest
from mixup_study.study.source import MAX_NODES, KeyPath, Source

VARIABLES = "variables"
"""The key of a study file that holds them."""
ELSEWHERE = (VARIABLES, "extends")
"""Keys in which none is used."""
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
USE = rf"^\$\{{{NAME}\}}$"
"""The text that becomes the value of a variable."""
_IN_TEXT = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
"""A use of a variable, or ``$${``, which stands for ``${``."""


def list_variables(source: Source) -> set[str]:
    """Return the names of the variables of a file and its profiles; raise InputError for one that nothing uses.

    Those that it takes over from a file that it extends need no use.
    """
    profiles = source.tree.get("profiles")
    paths: list[KeyPath] = [(VARIABLES,)]
    if isinstance(profiles, dict):
        paths += [("profiles", name, VARIABLES) for name, own in profiles.items() if isinstance(own, dict)]
    declared: dict[str, KeyPath] = {}
    for path in paths:
        for name in _variables_at(source, path):
            declared.setdefault(name, (*path, name))
    used = set(_list_used(source.tree))
    for name, path in declared.items():
        if name not in used and source.place(path).rpartition(":")[0] == source.name:
            raise source.error(path, f"nothing uses it; expected ${{{name}}} somewhere{nearest(name, used)}")
    return set(declared)


def put_variables(source: Source, declared: Collection[str]) -> None:
    """Put the values of the variables into all places that use them.

    ``${name}`` alone becomes the value, of whatever kind; within other text, the value's text. Raises InputError for a
    variable that is not there, or that is not among those ``declared`` in the file.
    """
    values = _variables_at(source, (VARIABLES,))
    for name in values:
        if name not in declared:
            raise source.error((VARIABLES, name), f"no such variable in the file{nearest(name, declared)}")
    _Values(source, values).put(source.tree, ())


def _variables_at(source: Source, path: KeyPath) -> dict[str, Any]:
    """Return the variables declared at ``path``; raise InputError for a name or a value that none can have."""
    tree: Any = source.tree
    for key in path:
        tree = tree.get(key, {}) if isinstance(tree, dict) else {}
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise source.error(path, "expected names with their values", value=tree)
    for name, value in tree.items():
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise source.error((*path, name), "expected a name of letters, digits and _")
        items = value if isinstance(value, list) else [value]
        if not items or any(item is None or isinstance(item, dict | list) for item in items):
            raise source.error((*path, name), "expected a value, or a list of values", value=value)
        if any(isinstance(item, str) and "${" in item for item in items):
            raise source.error((*path, name), "the value of a variable uses none; expected it spelled out", value=value)
    return tree


def _list_used(tree: Any) -> Iterator[str]:
    """Yield the names of the variables that are used below ``tree``."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key not in ELSEWHERE:
                yield from _list_used(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _list_used(value)
    elif isinstance(tree, str):
        yield from (match[1] for match in _IN_TEXT.finditer(tree) if match[1] is not None)


class _Values:
    """The values of variables, on their way into a file."""

    def __init__(self, source: Source, values: dict[str, Any]) -> None:
        self._source = source
        self._values = values
        self._count = 0

    def put(self, tree: Any, path: KeyPath) -> None:
        """Put the values into the mapping or list ``tree``, which stands at ``path``."""
        for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
            if isinstance(value, dict | list) and key not in ELSEWHERE:
                self.put(value, (*path, key))
            elif isinstance(value, str) and "${" in value and key not in ELSEWHERE:
                tree[key] = self._replace(value, (*path, key))

    def _replace(self, text: str, path: KeyPath) -> Any:
        if re.fullmatch(USE, text):
            return deepcopy(self._find(text[2:-1], text, path))
        return _IN_TEXT.sub(lambda match: self._describe(match, text, path), text)

    def _describe(self, match: re.Match[str], text: str, path: KeyPath) -> str:
        if match[1] is None:
            return "${"
        value = self._find(match[1] if match[0].endswith("}") else "", text, path)
        if isinstance(value, list):
            raise self._source.error(path, f"{match[0]} is a list; expected it alone, without other text", value=text)
        if isinstance(value, bool):
            return str(value).lower()
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _find(self, name: str, text: str, path: KeyPath) -> Any:
        if not re.fullmatch(NAME, name):
            raise self._source.error(path, "expected ${name}, or $${ for the sign itself", value=text)
        if name not in self._values:
            problem = f"no variable {name!r}; expected one of variables{nearest(name, self._values)}"
            raise self._source.error(path, problem, value=text)
        value = self._values[name]
        self._count += len(value) if isinstance(value, list) else 1
        if self._count > MAX_NODES:
            raise self._source.error(path, f"the variables unfold to more than {MAX_NODES:,} values")
        return value
