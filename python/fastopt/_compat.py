"""Presets: what another framework has under the same name, in formula, constants and defaults.

Facts of PyTorch 2.13, Keras 3.15, TensorFlow 1's `tf.train` and optax 0.2.8. What a framework asks its user
for (optax a rate) is as here. Gradients are clipped as everywhere in this package.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec

from fastopt._checks import brief

__all__ = ["PRESETS", "REFUSED", "preset", "with_presets"]

_DECOUPLED = {"decoupled_weight_decay": True}
_INSIDE = {"eps_inside_root": True}
_STEP = {"momentum_form": "step"}

#: Of each class and framework: the keywords whose values differ from the class's defaults.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "SGD": {
        "torch": {},
        "keras": {"lr": 1e-2, **_STEP, **_DECOUPLED},
        "tf1": {},
        "optax": {},
    },
    "Adagrad": {
        "torch": {},
        "keras": {
            "lr": 1e-3,
            "initial_accumulator_value": 0.1,
            "eps": 1e-7,
            **_INSIDE,
            **_DECOUPLED,
        },
        "tf1": {"initial_accumulator_value": 0.1, "eps": 0.0},
        "optax": {"initial_accumulator_value": 0.1, "eps": 1e-7, **_INSIDE},
    },
    "Adadelta": {
        "torch": {},
        "keras": {"lr": 1e-3, "rho": 0.95, "eps": 1e-7, **_DECOUPLED},
        "tf1": {"lr": 1e-3, "rho": 0.95, "eps": 1e-8},
        "optax": {},
    },
    "RMSprop": {
        "torch": {},
        "keras": {
            "lr": 1e-3,
            "alpha": 0.9,
            "eps": 1e-7,
            **_INSIDE,
            **_STEP,
            **_DECOUPLED,
        },
        "tf1": {
            "alpha": 0.9,
            "eps": 1e-10,
            "initial_accumulator_value": 1.0,
            **_INSIDE,
            **_STEP,
        },
        "optax": {"alpha": 0.9, **_INSIDE, **_STEP},
    },
    "Adam": {
        "torch": {},
        "keras": {"eps": 1e-7, "eps_hat": True, **_DECOUPLED},
        "tf1": {"eps_hat": True},
        "optax": {},
    },
    "AdamW": {
        "torch": {},
        "keras": {"eps": 1e-7, "eps_hat": True, "weight_decay": 4e-3},
        "optax": {"weight_decay": 1e-4},
    },
    "Adamax": {
        "torch": {},
        "keras": {"lr": 1e-3, "eps": 1e-7, "eps_after_max": True, **_DECOUPLED},
        "optax": {},
    },
    "NAdam": {
        "torch": {},
        "keras": {"lr": 1e-3, "eps": 1e-7, "momentum_decay": 1.0, **_DECOUPLED},
        "optax": {"momentum_decay": 1e6},
    },
    "RAdam": {
        "torch": {},
        "optax": {"eps_hat": False},
    },
    "Lion": {
        "keras": {"lr": 1e-3},
        "optax": {"weight_decay": 1e-3},
    },
    "LAMB": {
        "keras": {"eps": 1e-7, "weight_decay": 0.0},
        "optax": {"weight_decay": 0.0},
    },
}

#: Keywords that mean another formula there, which is not offered: by class and framework, and why.
REFUSED: dict[tuple[str, str], dict[str, str]] = {
    ("Adam", "optax"): {"amsgrad": "optax takes the maximum of corrected moments"},
    ("AdamW", "optax"): {"amsgrad": "optax takes the maximum of corrected moments"},
    ("LAMB", "keras"): {"weight_decay": "Keras decays outside of the norm"},
}

P = ParamSpec("P")


def preset(name: str, compat: Any, given: Mapping[str, Any], placed: Collection[str] = ()) -> dict[str, Any]:
    """The keywords for the class of this name: those that were given, and of the others the preset's.

    `placed`: the names of arguments that were given by their place.
    """
    if compat is None:
        return dict(given)
    known = PRESETS.get(name, {})
    if not isinstance(compat, str) or compat not in known:
        names = ", ".join(map(repr, known)) or "no compat"
        raise ValueError(
            f"compat: expected {'one of ' if known else ''}{names} for {name}, got {brief(compat)}"
        )
    for key, why in REFUSED.get((name, compat), {}).items():
        if given.get(key):
            raise ValueError(f"{key}: not with compat={compat!r} for {name} ({why}), got {brief(given[key])}")
    return {**{k: v for k, v in known[compat].items() if k not in placed}, **given}


def with_presets(init: Callable[P, None]) -> Callable[P, None]:
    """An `__init__` whose keyword `compat` fills in what the caller leaves out."""

    @functools.wraps(init)
    def made(*args: P.args, **given: P.kwargs) -> None:
        if given.get("compat") is not None:
            placed = ("lr",) if len(args) > 2 else ()
            name = next(cls.__name__ for cls in type(args[0]).__mro__ if cls.__name__ in PRESETS)
            given.update(preset(name, given.pop("compat"), given, placed))
        init(*args, **given)

    return made
