"""Study files as plain data that remembers where each value was written."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from mixup_study.errors import InputError, cut, escape_controls, is_control, nearest, shown
from mixup_study.study.shipped import find_study

KeyPath: TypeAlias = tuple[Hashable, ...]
EXTENDS = "extends"
"""The key of a study file that names the file it is merged over."""

MAX_NODES = 100_000
"""A study file that unfolds to more values than this (aliases of aliases, say) is refused."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, reading ``1e-4`` as YAML 1.2 does: as a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),  # in linear time
    list("-+.0123456789"),
)


@dataclass
class Source:
    """Nested plain data with the place each key path was written at.

    ``tree`` is what the YAML says; ``places`` maps a key path to ``file:line`` or to the ``--set`` that put
    it there.
    """

    name: str
    tree: dict[Hashable, Any]
    places: dict[KeyPath, str] = field(default_factory=dict)
    extended: tuple[str, ...] = ()
    """The files that it was merged over."""

    def place(self, path: KeyPath) -> str:
        """Return where ``path`` was written, or the closest thing above it that was."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.name

    def folder(self, path: KeyPath) -> Path:
        """Return the folder of the file that ``path`` was written in; what --set put there is as in ``name``."""
        file = self.place(path).rpartition(":")[0]
        return Path(file if file in self.extended else self.name).parent

    def holds_several(self, path: KeyPath) -> bool:
        """Return whether a mapping or a list was written at ``path``, or nothing was."""
        try:
            return isinstance(at(self.tree, path), Mapping | list)
        except (KeyError, IndexError, TypeError):
            return True

    def error(self, path: KeyPath, problem: str, *, value: object = ...) -> InputError:
        """Return the one-line error for ``path``: where, which key, which value, what is wrong with it."""
        key = dotted(path)
        got = "" if value is ... else f" {shown(value)}:"
        return InputError(f"{self.place(path)}: {key + ':' if key else ''}{got} {problem}")

    def find_study(self, path: KeyPath, name: str, folder: Path) -> Path:
        """Return the study file that ``name``, written at ``path``, means in ``folder``. Raises InputError."""
        try:
            return find_study(name, folder)
        except InputError as error:
            raise self.error(path, str(error)) from None

    def overlay(self, path: KeyPath) -> None:
        """Merge the mapping at ``path`` over the whole: mappings by key, null removes, all else replaces."""
        _merge(self, self, path, ())

    def put(self, path: KeyPath, value: Any, place: str) -> None:
        """Set ``path`` to ``value``, creating the mappings above it."""
        parent = self.tree
        for depth, key in enumerate(path[:-1], start=1):
            if key not in parent:
                parent[key] = {}
                self.places[path[:depth]] = place
            child = parent[key]
            if not isinstance(child, dict):
                kind = "a list, to be set as a whole" if isinstance(child, list) else "a value, not a mapping of keys"
                raise InputError(f"{place}: {dotted(path)}: {shown(key)} is {kind}")
            parent = child
        if isinstance(parent.get(path[-1], {}), dict | list):  # below a plain value no place is known
            for known in [known for known in self.places if known[: len(path)] == path]:
                del self.places[known]
        parent[path[-1]] = value
        self.places[path] = place


def dotted(path: KeyPath) -> str:
    """Return a key path as users write it: ``trial.epochs``."""
    return ".".join(str(key) for key in path)


def at(tree: Any, path: KeyPath) -> Any:
    """Return the value at ``path``; KeyError where there is none."""
    for key in path:
        if not isinstance(tree, Mapping):
            raise KeyError(path)
        tree = tree[key]
    return tree


def read_study(file: Path) -> Source:
    """Read a study file, merged over the file that it extends, that over the one that it extends, and so on.

    They are merged as by ``Source.overlay``, but that what a profile removes stays null, to be removed by the profile.
    The study is not what the paper ran unless the file itself says so. Raises InputError, naming file and line, for a
    file that cannot be read, and for files that extend each other in a circle.
    """
    sources = [read(file)]
    files = [file.resolve()]
    while EXTENDS in sources[-1].tree:
        source = sources[-1]
        name = source.tree[EXTENDS]
        if not isinstance(name, str) or not name:
            expected = "expected the path of a study file, from the folder of this one, or the name of a study"
            raise source.error((EXTENDS,), expected, value=name)
        path = source.find_study((EXTENDS,), name, Path(source.name).parent)
        sources.append(read(path, f"{source.place((EXTENDS,))}: {EXTENDS}: {shown(name)}"))
        files.append(path.resolve())
        if files[-1] in files[:-1]:
            raise source.error((EXTENDS,), "the files extend each other in a circle", value=name)
    merged = sources.pop()
    while sources:
        merged = _extend(merged, sources.pop())
    return merged


def read(file: Path, blamed: str | None = None) -> Source:
    """Read a YAML file whose top level is a mapping.

    Raises InputError, naming file and line, for a file that is not YAML, or has a key twice, and for one that cannot be
    read: it begins with ``blamed``, else with the file.
    """
    blamed = blamed or str(file)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = [path.name for path in file.parent.glob("*.yaml")] if file.parent.is_dir() else []
        raise InputError(f"{blamed}: no such file; expected a study file{nearest(file.name, beside)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{blamed}: cannot be read as text: {cut(str(error), 200)}") from None
    return parse(text, str(file))


def parse(text: str, name: str) -> Source:
    """Parse YAML text whose top level is a mapping; ``name`` stands for the file in errors."""
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise InputError(f"{name}: expected a mapping of keys such as 'name', 'trial' and 'arms'")
        source = Source(name, {})
        reader = _Reader(loader, source)
        source.tree = reader.mapping(root, ())
        return source
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{name}{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{name}: nested too deeply") from None
    finally:
        if loader is not None:
            loader.dispose()


class _Reader:
    """Turns YAML nodes into plain data, keeping lines and refusing a key written twice."""

    def __init__(self, loader: _Loader, source: Source) -> None:
        self.loader = loader
        self.source = source
        self.nodes = 0

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[Hashable, Any]:
        self._count()
        own: dict[Hashable, Any] = {}
        merged: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                for part in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    if not isinstance(part, yaml.MappingNode):
                        raise self._error(
                            part, f"{dotted((*path, '<<'))}: expected a mapping to merge, or a list of them"
                        )
                    merged = {**self.mapping(part, path), **merged}
                continue
            key = self._key(key_node)
            if key in own:
                raise self._error(key_node, f"{dotted((*path, key))}: the key stands here twice; expected it once")
            own[key] = self.value(value_node, (*path, key))
            self.source.places[(*path, key)] = self._place(key_node)
        return {**merged, **own}

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        self._count()
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self.source.places[(*path, index)] = self._place(item)
                items.append(self.value(item, (*path, index)))
            return items
        return self._scalar(node)

    def _key(self, node: yaml.Node) -> Hashable:
        key = self._scalar(node) if isinstance(node, yaml.ScalarNode) else node
        if isinstance(key, str) and "\n" in key:
            raise self._error(node, f"{shown(key)}: a key of more than one line; expected one")
        if not isinstance(key, Hashable) or isinstance(key, yaml.Node):
            raise self._error(node, "a key is a list or a mapping; expected a name")
        return key

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            value = self.loader.construct_object(node)
        except Exception:  # PyYAML converts what a tag promises unchecked, and fails with whatever that raises
            kind = node.tag.rpartition(":")[2]
            raise self._error(node, f"not YAML: {shown(node.value)} is not of the kind {kind!r}") from None
        for sign in value if isinstance(value, str) else "":
            if is_control(sign) and sign not in "\n\t":
                name = escape_controls(sign)
                raise self._error(node, f"{shown(value)}: it holds the control character {name}; expected text alone")
        return value

    def _count(self) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise InputError(f"{self.source.name}: more than {MAX_NODES:,} values")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.source.name}:{node.start_mark.line + 1}"

    def _error(self, node: yaml.Node, problem: str) -> InputError:
        return InputError(f"{self._place(node)}: {problem}")


def set_override(source: Source, assignment: str) -> None:
    """Apply one ``--set KEY=VALUE`` to ``source``; VALUE is read as YAML, so 5 is a number and [1, 2] a list.

    KEY is a dotted path such as ``trial.epochs``; an existing key that itself holds dots is found whole. null
    removes the key, as in a profile.
    """
    place = f"--set {cut(assignment, 80)}"
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip() or not text.strip():
        raise InputError(f"{place}: expected KEY=VALUE, as in --set trial.epochs=5")
    if any(map(is_control, key.strip())):
        raise InputError(f"{place}: {shown(key)}: the key holds a control character; expected text alone")
    path = tuple(_keys(source.tree, key.strip()))
    parsed = parse(f"value: {text}", place).tree
    if len(parsed) > 1:
        raise InputError(f"{place}: expected one value")
    value = parsed["value"]
    if value is not None:
        source.put(path, value, place)
        return
    try:
        del at(source.tree, path[:-1])[path[-1]]
    except (KeyError, TypeError):
        raise InputError(f"{place}: {dotted(path)}: no such key to remove") from None


def _keys(tree: Any, rest: str) -> Iterator[str]:
    while rest:
        names = [str(key) for key in tree] if isinstance(tree, Mapping) else []
        whole = [name for name in names if name and (rest == name or rest.startswith(name + "."))]
        key = max(whole, key=len) if whole else rest.split(".")[0]
        yield key
        tree = tree.get(key) if isinstance(tree, Mapping) else None
        rest = rest[len(key) + 1 :]


def _extend(base: Source, source: Source) -> Source:
    """Return ``source`` merged over ``base``, which it takes over."""
    merged = Source(source.name, base.tree, base.places, (*base.extended, base.name))
    merged.tree.pop(EXTENDS, None)
    is_of_paper = isinstance(base.tree.get("paper"), dict)
    _merge(merged, source, (), ())
    own, paper = source.tree.get("paper"), merged.tree.get("paper")
    if is_of_paper and isinstance(paper, dict) and not (isinstance(own, dict) and "exact" in own):
        merged.put(("paper", "exact"), False, source.place((EXTENDS,)))
    return merged


def _merge(source: Source, overlay: Source, path: KeyPath, onto: KeyPath) -> None:
    """Merge what stands at ``path`` of ``overlay`` over ``onto`` of ``source``; the two may be the same."""
    value = at(overlay.tree, path)
    place = overlay.places.get(path, overlay.name)
    try:
        existing = at(source.tree, onto)
    except KeyError:
        existing = None
    removed_by_profile = onto[:1] == ("profiles",) and len(onto) > 2
    if isinstance(value, dict):
        if onto and not isinstance(existing, dict):
            source.put(onto, {}, place)
        for key in value:
            _merge(source, overlay, (*path, key), (*onto, key))
    elif value is None and not removed_by_profile:
        parent = at(source.tree, onto[:-1])
        parent.pop(onto[-1], None)
    else:
        places = overlay.places.items() if isinstance(value, list) else ()
        below = {known[len(path) :]: where for known, where in places if known[: len(path)] == path}
        source.put(onto, value, place)
        for tail, where in below.items():
            source.places[(*onto, *tail)] = where
