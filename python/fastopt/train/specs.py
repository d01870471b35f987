"""Names with options, `sgd:momentum=0.9,nesterov=true`, in the syntax of `fastopt.schedules.parse`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any


class SpecError(ValueError):
    """A name or option that cannot be used; the message says which and what would do."""


@dataclass(frozen=True)
class Spec:
    """A name and its options; `text` is how the user wrote it, and labels the run it asks for."""

    text: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)


def parse(text: str, what: str) -> Spec:
    """Read NAME or NAME:key=value,key=value; a value is a number, true, false, none, a [list], or else text.

    >>> parse("adam:betas=[0.9,0.99],amsgrad=true", "optimizer").options
    {'betas': (0.9, 0.99), 'amsgrad': True}
    """
    name, colon, rest = text.partition(":")
    if not name or bool(colon) != bool(rest):
        raise SpecError(f"{what}: expected NAME or NAME:key=value,..., got {text!r}")
    return Spec(text, name.lower(), options(_items(rest), f"{what} {name}"))


def parse_list(text: str, what: str) -> list[Spec]:
    """Specs separated by commas; an item that is only key=value continues the options of the spec before it.

    >>> [spec.text for spec in parse_list("adamw,sgd:momentum=0.9,nesterov=true,lion", "optimizer")]
    ['adamw', 'sgd:momentum=0.9,nesterov=true', 'lion']
    """
    texts: list[str] = []
    for item in _items(text):
        if texts and "=" in item and ":" not in item.partition("=")[0]:
            texts[-1] += f",{item}"
        else:
            texts.append(item)
    for i, item in enumerate(texts):
        if item in texts[:i]:
            raise SpecError(f"{what}: {item!r} is given twice")
    return [parse(item, what) for item in texts]


def _items(text: str) -> list[str]:
    """Split at commas outside [brackets]."""
    return [item.strip() for item in re.split(r",(?![^\[]*\])", text)] if text else []


def options(items: list[str], what: str) -> dict[str, Any]:
    """Read key=value items into a dict."""
    result: dict[str, Any] = {}
    for item in items:
        key, equals, value = item.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key.isidentifier():
            raise SpecError(f"{what}: expected an option as key=value, got {item!r}")
        if key in result:
            raise SpecError(f"{what}: the option {key} is given twice")
        result[key] = _value(value.strip())
    return result


def _value(text: str) -> Any:
    constants = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in constants:
        return constants[text.lower()]
    try:
        value = json.loads(text)
    except ValueError:
        try:
            return float(text)  # the forms that Python reads and JSON does not: .5, 1., +1
        except ValueError:
            return text
    return tuple(value) if isinstance(value, list) else value
