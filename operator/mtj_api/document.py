"""A job file as written: the YAML's values, where in the file each stands, and changes from the command line.

Invariant: YAML means here what it means to Kubernetes, and whatever YAML would pass over in silence, such as a
key that is given twice, is an error.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mtj_api.contract import API_VERSION, KIND
from mtj_api.errors import JobError

Location = tuple[str | int, ...]
"""The keys and list indices that lead to a value."""

LARGEST_TEXT = 1 << 20
"""Of a file; Kubernetes stores little more."""

LARGEST = 100_000
"""Values in a file; more are a mistake, or aliases that multiply."""

_MISNAMED = (ValueError, KeyError, AttributeError, TypeError)
"""What PyYAML raises where a value says of itself that it is of a kind, such as ``!!int x``, and for huge numbers."""

_HEADER_HINT = f"begin with 'apiVersion: {API_VERSION}' and 'kind: {KIND}'"


@dataclass(frozen=True)
class Document:
    """One job as written.

    Attributes:
        value: what the YAML says, unchecked.
        source: what to call the file.
        places: where each value stands, such as ``job.yaml:7`` or ``--set spec.training.steps``.
    """

    value: dict[str, Any]
    source: str
    places: Mapping[Location, str]

    def where(self, location: Location) -> str:
        """The place of a value, or of the nearest thing around it that was written, and its dotted name."""
        around = next((location[:n] for n in range(len(location), -1, -1) if location[:n] in self.places), ())
        place, name = self.places.get(around, self.source), dotted(location)
        return place if not name or place.endswith(f" {name}") else f"{place}: {name}"


def dotted(location: Location) -> str:
    """``("spec", "requests", 0, "key")`` as ``spec.requests[0].key``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def decoded(data: bytes, source: str) -> str:
    """The text of a file.

    Raises:
        JobError: it is too long, or no text.
    """
    if len(data) > LARGEST_TEXT:
        raise _too_long(source)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JobError("the job file is not text", where=source, instead="write it as YAML in UTF-8") from error


def read_document(text: str, source: str) -> Document:
    """The single job in a YAML text; other resources in the same text are passed over.

    Raises:
        JobError: the text is too long, is no YAML, says a key twice, or holds no job or several.
    """
    if len(text) > LARGEST_TEXT:
        raise _too_long(source)
    jobs: list[Document] = []
    kinds: list[str] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            places = dict(_places(node, source))
            value = loader.construct_document(node)
            if value is None:
                continue
            if not isinstance(value, dict):
                raise JobError("the document is not a mapping", where=source, instead=_HEADER_HINT)
            kinds.append(str(value.get("kind", "something without a kind")))
            if value.get("kind") == KIND:
                jobs.append(Document(value, source, places))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        raise JobError(f"not valid YAML: {problem}", where=where, instead="mend the indentation or quoting") from None
    except RecursionError:
        raise JobError("the YAML is nested too deeply", where=source, instead=_HEADER_HINT) from None
    except _MISNAMED:
        raise JobError(
            "a value is not what its tag says", where=source, instead="leave tags such as !!int out"
        ) from None
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        found = f"found {', '.join(kinds)}" if kinds else "the file is empty"
        raise JobError(f"there is no {KIND} here ({found})", where=source, instead=_HEADER_HINT)
    raise JobError(f"there are {len(jobs)} jobs here", where=source, instead="keep one job a file")


def _too_long(source: str) -> JobError:
    return JobError(f"the file is larger than {LARGEST_TEXT >> 20} MiB", where=source, instead="keep one job a file")


def with_settings(document: Document, settings: Sequence[str]) -> Document:
    """The document with values put in from the command line.

    Args:
        document: what was read from the file; it is left as it is.
        settings: ``spec.training.steps=100``, one field each; the value is YAML, and null removes the field.
            Later ones win.

    Raises:
        JobError: a setting has another form, or leads through something that is no group of fields.
    """
    value, places = copy.deepcopy(document.value), dict(document.places)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise JobError("a setting has no value", where=f"--set {setting}", instead="write --set FIELD=VALUE")
        location = _location(name)
        try:
            new = _single(text, name)
        except (yaml.YAMLError, RecursionError, *_MISNAMED):
            raise JobError(f"{text} is not valid YAML", where=f"--set {name}", instead="quote it") from None
        _put(value, location, new, name)
        for place in [known for known in places if known[: len(location)] == location]:
            del places[place]
        places[location] = f"--set {name}"
    return Document(value, document.source, places)


def _single(text: str, name: str) -> Any:
    """The value of a setting."""
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    for _ in _places(node, f"--set {name}"):
        pass
    return loader.construct_document(node)


def _location(name: str) -> Location:
    if not re.fullmatch(r"\w[\w-]*(\[\d+\])*(\.\w[\w-]*(\[\d+\])*)*", name):
        raise JobError(
            "this is not the name of a field", where=f"--set {name}", instead="write spec.training.steps=100"
        )
    return tuple(int(index) if index else key for index, key in re.findall(r"\[(\d+)\]|([\w-]+)", name))


def _put(value: Any, location: Location, new: Any, name: str) -> None:
    for depth, part in enumerate(location):
        within = dotted(location[:depth])
        if isinstance(part, int):
            if not isinstance(value, list) or part >= len(value):
                length = len(value) if isinstance(value, list) else 0
                raise JobError(
                    f"there is no item {part} in {within}, which has {length}",
                    where=f"--set {name}",
                    instead=f"set {within} as a whole, as in --set '{within}=[...]'",
                )
        elif not isinstance(value, dict):
            raise JobError(f"{within} has no fields", where=f"--set {name}", instead=f"set {within} as a whole")
        if depth == len(location) - 1:
            if new is None and isinstance(value, dict):
                value.pop(part, None)
            else:
                value[part] = new
        else:
            if isinstance(value, dict) and value.get(part) is None:
                value[part] = {}
            value = value[part]


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: ``1e-3`` is a number, times stay text, and ``1000.0`` is a whole number."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML declares it so
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":int", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    number = float(loader.construct_yaml_float(node))
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_Loader.add_constructor("tag:yaml.org,2002:float", _number)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def _places(node: yaml.Node, source: str) -> Iterator[tuple[Location, str]]:
    for count, (location, line) in enumerate(_lines(node, (), source, frozenset())):
        if count > LARGEST:
            raise JobError(f"the file says more than {LARGEST:,} values", where=source, instead="write fewer aliases")
        yield location, f"{source}:{line}"


def _lines(node: yaml.Node, location: Location, source: str, around: frozenset[int]) -> Iterator[tuple[Location, int]]:
    """The line of every value, where its key stands if it has one."""
    yield location, node.start_mark.line + 1
    if id(node) in around:
        where = f"{source}:{node.start_mark.line + 1}"
        raise JobError("an alias stands inside of what it repeats", where=where, instead="write the value out")
    around |= {id(node)}
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, key_line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise JobError(
                    f"{dotted((*location, name))} is given twice",
                    where=f"{source}:{key_line}",
                    instead=f"keep one (see line {seen[name]})",
                )
            seen[name] = key_line
            for inner, line in _lines(value, (*location, name), source, around):
                yield inner, key_line if inner == (*location, name) else line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*location, index), source, around)
