"""Reading a job file, and saying in one sentence a fault what is wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mtj_api import walk
from mtj_api.contract import API_VERSION, KIND
from mtj_api.errors import JobError
from mtj_api.resolve import Resolution, resolve
from mtj_api.spec import MusicTrainingJob

Location = tuple[str | int, ...]
Lines = dict[Location, int]


class InvalidJob(JobError):
    """A job file with one or more faults; ``errors`` has a sentence for each."""

    def __init__(self, errors: list[JobError]) -> None:
        self.errors = errors
        first = errors[0]
        super().__init__(first.what, where=first.where, instead=first.instead)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def load_job(path: Path) -> Resolution:
    """Read, check and resolve a job file.

    Raises:
        JobError: the file cannot be read or holds no single job, or (``InvalidJob``) the job is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise JobError(
            f"cannot read the job file ({reason})", where=str(path), instead="name a file with a MusicTrainingJob"
        ) from error
    except UnicodeDecodeError as error:
        raise JobError("the job file is not text", where=str(path), instead="write it as YAML in UTF-8") from error
    return parse_job(text, str(path))


def parse_job(text: str, source: str = "job") -> Resolution:
    """Check and resolve the job in a YAML text; other resources in the same text are passed over."""
    document, lines = _single_job(text, source)
    try:
        job = MusicTrainingJob.model_validate(document)
    except ValidationError as error:
        raise InvalidJob([_explain(e, document, lines, source) for e in error.errors()]) from None
    return resolve(job)


def read_resolved_job(path: Path) -> MusicTrainingJob:
    """Read a job that was resolved before and handed to a stage as JSON."""
    return MusicTrainingJob.model_validate(json.loads(path.read_text(encoding="utf-8")))


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: ``1e-3`` is a number, and times stay text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+0123456789."),
)


def _single_job(text: str, source: str) -> tuple[Any, Lines]:
    jobs: list[tuple[Any, Lines]] = []
    kinds: list[str] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            lines = dict(_lines(node, (), source))
            document = loader.construct_document(node)
            if document is None:
                continue
            if not isinstance(document, dict):
                raise JobError("the document is not a mapping", where=source, instead=_HEADER_HINT)
            kinds.append(str(document.get("kind", "no kind")))
            if document.get("kind") == KIND:
                jobs.append((document, lines))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise JobError(f"not valid YAML: {problem}", where=where, instead="mend the indentation or quoting") from None
    if len(jobs) == 1:
        return jobs[0]
    if not jobs:
        found = f"found {', '.join(kinds)}" if kinds else "the file is empty"
        raise JobError(f"there is no {KIND} here ({found})", where=source, instead=_HEADER_HINT)
    raise JobError(f"there are {len(jobs)} jobs here", where=source, instead="keep one job a file")


_HEADER_HINT = f"begin with 'apiVersion: {API_VERSION}' and 'kind: {KIND}'"


def _lines(node: yaml.Node, location: Location, source: str) -> Iterator[tuple[Location, int]]:
    """The line of every value; a key that is said twice is an error, since YAML would drop one silently."""
    line = node.start_mark.line + 1
    yield location, line
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, key_line = str(key.value), key.start_mark.line + 1
            if name in seen:
                dotted = ".".join(str(part) for part in (*location, name))
                raise JobError(
                    f"{dotted} is given twice", where=f"{source}:{key_line}", instead=f"keep one (see line {seen[name]})"
                )
            seen[name] = key_line
            for inner, inner_line in _lines(value, (*location, name), source):
                yield inner, key_line if inner == (*location, name) else inner_line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*location, index), source)


def _explain(error: Any, document: Any, lines: Lines, source: str) -> JobError:
    location: Location = tuple(error["loc"])
    dotted = _dotted(location)
    line = next((lines[location[:n]] for n in range(len(location), -1, -1) if location[:n] in lines), 1)
    where = f"{source}:{line}: {dotted}" if dotted else f"{source}:{line}"
    kind, context, value = error["type"], error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        return JobError("no such field", where=where, instead=_nearest_field(location))
    if kind == "missing":
        return JobError("this field is missing", where=where, instead=f"add {location[-1]}{_example(location)}")
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        near = difflib.get_close_matches(str(value), choices, n=1)
        guess = f" (did you mean {near[0]}?)" if near else ""
        return JobError(f"{_shown(value)} is not a choice here", where=where, instead=f"write {_or(choices)}{guess}")
    if kind == "value_error":
        return JobError(str(context["error"]), where=where)
    if kind == "string_pattern_mismatch":
        return JobError(f"{_shown(value)} has the wrong form", where=where, instead=_pattern_hint(location, context))
    message = error["msg"][0].lower() + error["msg"][1:]
    return JobError(f"{_shown(value)} does not fit", where=where, instead=message.replace("input should", "it should"))


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _or(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _example(location: Location) -> str:
    examples = {
        ("spec", "output"): ", such as 'output: ./out' or 'output: s3://music/models/chorales'",
        ("spec", "dataset"): ", such as 'dataset: {source: ./music}'",
        ("metadata",): ", such as 'metadata: {name: chorales}'",
        ("metadata", "name"): ", such as 'name: chorales'",
        ("spec",): " with at least dataset and output",
    }
    return examples.get(tuple(str(p) for p in location), "")


def _pattern_hint(location: Location, context: dict[str, Any]) -> str:
    hints = {
        "name": "write lower-case letters, digits and '-', such as my-chorales",
        "key": "write a tonic and maj or min, such as Cmaj or F#min",
        "metre": "write beats and unit, such as 4/4 or 6/8",
    }
    return hints.get(str(location[-1]), f"write text that matches {context.get('pattern')}")


def _nearest_field(location: Location) -> str:
    """The known field that an unknown one most likely means: a sibling first, else one elsewhere."""
    shape = tuple("[]" if isinstance(part, int) else part for part in location)
    parent, name = shape[:-1], str(shape[-1])
    known = [field for field in walk.fields_of(MusicTrainingJob)]
    siblings = [field.path[-1] for field in known if field.path[:-1] == parent]
    near = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    leaves: dict[str, tuple[str, ...]] = {field.path[-1]: field.path for field in known}
    elsewhere = difflib.get_close_matches(name, leaves, n=1, cutoff=0.75)
    if elsewhere:
        return f"did you mean {_dotted(leaves[elsewhere[0]]).replace('.[]', '[]')}?"
    return f"the fields here are {', '.join(siblings)}" if siblings else "remove it"


