"""Pydantic's errors in the words of a scenario: key path, rule, value, what to do."""

from __future__ import annotations

import types
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
)

from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from planner.errors import Problem, did_you_mean, shown
from planner.scenario.document import Document, KeyPath, text_of
from planner.scenario.rules import BROKEN_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

#: What a value must be, by the type of pydantic's error; braces take its context.
RULES: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "enum": "one of {expected}",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number below 2**63",
    "int_type": "a whole number",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "multiple_of": "a multiple of {multiple_of}",
    "none_required": "left out",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_long": "text of at most {max_length} characters",
    "string_too_short": "text of at least {min_length} characters",
    "string_type": "text",
    "too_long": "a list with at most {max_length} in it",
    "too_short": "a list with at least {min_length} in it",
    "tuple_type": "a list",
}

#: Errors of a value that does not say which member of a union it is.
_KIND_ERRORS = {
    "union_tag_invalid",
    "union_tag_not_found",
    "model_attributes_type",
    "model_type",
    "dict_type",
}
#: Problems of one file that are reported; nobody reads more.
MOST_PROBLEMS = 50
_PYDANTIC_TYPES = frozenset(get_args(ErrorType))


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[Problem]:
    """Return a problem, with its place in `document`, for each error of validating `model`.

    The first :data:`MOST_PROBLEMS`.
    """
    problems: list[Problem] = []
    for details in error.errors(include_url=False):
        found = list(_problems(details, document, model))
        last = problems[-1] if problems else None
        if last and [replace(each, message=last.message) for each in found] == [last]:
            # a union without kinds: each member has its say about the same value
            problems[-1] = _either(last, found[0])
        else:
            problems += found
        if len(problems) >= MOST_PROBLEMS:
            break
    return problems


def _either(one: Problem, other: Problem) -> Problem:
    """Return the problem of a value that is neither what `one` nor what `other` says."""
    rule = one.message.partition(", got ")[0]
    rest = other.message.removeprefix("must be ")
    return replace(one, message=one.message if rest in rule else f"{rule} or {rest}")


def _problems(
    details: ErrorDetails, document: Document, model: type[BaseModel]
) -> Iterator[Problem]:
    kind, context = details["type"], details.get("ctx", {})
    path = _key_path(details, document.data)
    value = _value(document.data, path, details["input"])
    if kind == "too_short" and len(value) >= context["min_length"]:
        return  # pydantic counts the items without those that have errors of their own
    if kind == "missing":
        yield document.problem(path, "must be given", at_key=True)
    elif kind == "extra_forbidden":
        known = sorted(_keys(model, document.data, path[:-1]))
        near = did_you_mean(str(path[-1]), known) or "; known: " + ", ".join(known)
        yield document.problem(path, "must be a known key" + near, at_key=True)
    elif kind in _KIND_ERRORS and (kinds := _kinds(model, document.data, path)):
        yield _kind_problem(document, path, value, kinds)
    elif kind == "literal_error":
        at_key = details["loc"][-1] == "[key]"
        choice = _choice(path[-1] if at_key else value, context["expected"])
        yield document.problem(path, choice, at_key=at_key)
    elif kind == BROKEN_RULES:
        for each in context["broken"]:
            yield document.problem((*path, *_steps(each.key)), each.message)
    elif kind in RULES:
        rule = RULES[kind].format_map({key: _plain(each) for key, each in context.items()})
        got = str(len(value)) if kind in {"too_short", "too_long"} else text_of(value)
        yield document.problem(path, f"must be {rule}, got {got}{_hint(kind, value)}")
    else:
        below = _steps(context["key"]) if "key" in context else ()
        for message in context.get("messages", [_message(details)]):
            yield document.problem((*path, *below), message)


def _plain(value: object) -> object:
    """Return a bound as a user would write it: 0 rather than 0.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _value(data: Any, path: KeyPath, otherwise: object) -> Any:  # noqa: ANN401 - data of any kind
    """Return the value that the file has at `path`, before validators changed it."""
    for step in path:
        if not _has(data, step):
            return otherwise
        data = data[step]
    return data


def _steps(key: str) -> KeyPath:
    return tuple(int(step) if step.isdigit() else step for step in key.split("."))


def _message(details: ErrorDetails) -> str:
    """Return the message of a validator of our own, or of pydantic where there is no rule."""
    error = details.get("ctx", {}).get("error")
    message = str(error) if error is not None else details["msg"]
    if message.startswith("must ") or details["type"] not in _PYDANTIC_TYPES:
        return message
    return f"must be valid, got {text_of(details['input'])}: {message}"


def _hint(kind: str, value: object) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes"
    if kind == "int_type" and isinstance(value, str) and value.strip().isdigit():
        return "; leave the quotes out"
    return ""


def _choice(value: object, expected: str) -> str:
    """Return the message of a value that is none of those in ``'a', 'b' or 'c'``."""
    options = [part.strip(" '") for part in expected.replace(" or ", ", ").split(",")]
    near = did_you_mean(value, options) if isinstance(value, str) else ""
    rule = f"one of {expected}" if len(options) > 1 else expected
    return f"must be {rule}, got {text_of(value)}{near}"


def _kind_problem(document: Document, path: KeyPath, value: object, kinds: list[str]) -> Problem:
    """Return the problem of a value whose ``kind`` is missing or none of `kinds`."""
    choice = "one of " + ", ".join(map(repr, kinds))
    if not isinstance(value, dict):
        message = f"must be a mapping with a kind, {choice}, got {text_of(value)}"
        example = value if value in kinds else kinds[0]
        return document.problem(path, f"{message}; write for instance {{kind: {example}}}")
    if "kind" not in value:
        return document.problem((*path, "kind"), f"must be given: {choice}", at_key=True)
    near = did_you_mean(str(value["kind"]), kinds)
    return document.problem((*path, "kind"), f"must be {choice}, got {shown(value['kind'])}{near}")


def _key_path(details: ErrorDetails, data: Any) -> KeyPath:  # noqa: ANN401 - data of any kind
    """Return the location of an error without the tags of unions that pydantic puts into it."""
    path: list[str | int] = []
    location = details["loc"]
    names_a_key = details["type"] in {"missing", "extra_forbidden"}
    tagged = False
    for index, step in enumerate(location):
        if not tagged and isinstance(data, dict) and data.get("kind") == step:
            tagged = True  # a key of this name may follow, as in kind: stages, stages: [...]
        elif _has(data, step):
            path.append(step)
            data, tagged = data[step], False
        elif names_a_key and index == len(location) - 1:
            path.append(step)
    return tuple(path)


def _alternatives(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - types of any kind
    """Yield the members of a type, unions and annotations taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _at(model: type[BaseModel], data: Any, path: KeyPath) -> list[type[BaseModel]]:  # noqa: ANN401 - data of any kind
    """Return the models that the value at `path` may be an instance of."""
    candidates: list[Any] = [model]
    for step in path:
        found: list[Any] = []
        for candidate in _of_kind(candidates, data):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                field = candidate.model_fields.get(str(step))
                found += _alternatives(field.annotation) if field else []
            else:
                arguments = get_args(candidate)
                mapping = isinstance(data, dict)
                inner = arguments[-1:] if mapping else arguments[:1]
                found += [each for argument in inner for each in _alternatives(argument)]
        candidates = found
        data = data[step] if _has(data, step) else None
    models = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
    return [each for each in _of_kind(models, data) if isinstance(each, type)]


def _has(data: object, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _of_kind(candidates: list[Any], data: object) -> list[Any]:
    """Return the candidates whose ``kind`` is that of `data`, or all if none is."""
    kind = data.get("kind") if isinstance(data, dict) else None
    return [each for each in candidates if kind in _own_kinds(each)] or candidates


def _own_kinds(candidate: Any) -> tuple[Any, ...]:  # noqa: ANN401 - types of any kind
    field = getattr(candidate, "model_fields", {}).get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return ()
    return get_args(field.annotation)


def _keys(model: type[BaseModel], data: object, path: KeyPath) -> set[str]:
    return {key for each in _at(model, data, path) for key in each.model_fields}


def _kinds(model: type[BaseModel], data: object, path: KeyPath) -> list[str]:
    """Return the kinds of the members of the union at `path`; none where there is no union."""
    kinds = [_own_kinds(each) for each in _at(model, data, path)]
    return [kind[0] for kind in kinds if len(kind) == 1]
