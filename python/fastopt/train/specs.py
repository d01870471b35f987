"""Names with options, `sgd:momentum=0.9,nesterov=true`: the syntax of `fastopt.schedules.read_spec`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastopt import schedules


class SpecError(ValueError):
    """A name or option that cannot be used; the message says which and what would do."""


@dataclass(frozen=True)
class Spec:
    """A name and its options; `text` is how the user wrote it, and labels the run it asks for."""

    text: str
    name: str
    options: dict[str, Any] = field(default_factory=dict)


def parse(text: str, what: str) -> Spec:
    """Read NAME or NAME:key=value,key=value.

    >>> parse("adam:betas=[0.9,0.99],amsgrad=true", "optimizer").options
    {'betas': (0.9, 0.99), 'amsgrad': True}
    """
    try:
        name, options = schedules.read_spec(text)
    except ValueError as error:
        raise SpecError(f"{what}: {error}") from None
    return Spec(text, name.lower(), options)


def amounts(options: Mapping[str, Any], known: Sequence[str], what: str) -> dict[str, float]:
    """Options that are numbers of at least 0, each of a name that is known."""
    for key, value in options.items():
        if key not in known:
            raise SpecError(f"{what}: unknown option {key!r}; it has {', '.join(known) or 'none'}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise SpecError(f"{what}: {key}: expected a finite number of at least 0, got {value!r}")
    return {key: float(value) for key, value in options.items()}


def parse_list(text: str, what: str) -> list[Spec]:
    """Specs separated by commas; an item that is only key=value continues the options of the spec before it.

    >>> [spec.text for spec in parse_list("adamw,sgd:momentum=0.9,nesterov=true,lion", "optimizer")]
    ['adamw', 'sgd:momentum=0.9,nesterov=true', 'lion']
    """
    texts: list[str] = []
    for item in re.split(r",(?![^\[]*\])", text) if text else []:  # commas outside [brackets]
        item = item.strip()
        if texts and "=" in item and ":" not in item.partition("=")[0]:
            texts[-1] += f",{item}"
        else:
            texts.append(item)
    for i, item in enumerate(texts):
        if item in texts[:i]:
            raise SpecError(f"{what}: {item!r} is given twice")
    return [parse(item, what) for item in texts]
