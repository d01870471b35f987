"""Random hyper-parameters, every keyword away from its default.

``VARIANTS[class name]`` is a list of settings, since some keywords exclude each other (SGD's ``nesterov``
wants no dampening); together they name every keyword that reaches the rule. A value is drawn by calling
it with a ``numpy.random.Generator``; anything not callable stands for itself. A class that is not listed gets
one setting, guessed from the names and defaults of its keywords in ``reference.ORACLES``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reference import ORACLES

Draw = dict[str, Any]


def _uniform(low: float, high: float) -> Any:
    return lambda rng: float(rng.uniform(low, high))


def _pair(first: tuple[float, float], second: tuple[float, float]) -> Any:
    return lambda rng: (float(rng.uniform(*first)), float(rng.uniform(*second)))


_BETAS = _pair((0.5, 0.93), (0.8, 0.99))
_EPS = _uniform(1e-3, 1e-1)
_MOMENTS: Draw = {"lr": _uniform(0.01, 0.1), "betas": _BETAS, "eps": _EPS}
_MOMENTUM = _uniform(0.5, 0.95)
_ADAM: Draw = {**_MOMENTS, "amsgrad": True}
_RMSPROP: Draw = {"lr": _uniform(0.01, 0.1), "alpha": _uniform(0.7, 0.97), "eps": _EPS}
_ADAGRAD: Draw = {"lr": _uniform(0.05, 0.3), "lr_decay": _uniform(0.01, 0.2), "eps": _EPS}
_SGD: Draw = {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM}

_MUON: Draw = {
    "lr": _uniform(0.01, 0.1),
    "momentum": _MOMENTUM,
    "eps": _uniform(1.0, 4.0),
    "adamw_betas": _BETAS,
    "adamw_eps": _EPS,
}

VARIANTS: dict[str, list[Draw]] = {
    "SGD": [
        *({**_SGD, "momentum_form": f, "dampening": _uniform(0.1, 0.9)} for f in ("step", "average")),
        *({**_SGD, "momentum_form": f, "nesterov": True} for f in ("step", "average")),
        {**_SGD, "dampening": _uniform(0.1, 0.9)},
        {**_SGD, "nesterov": True},
        {"lr": _uniform(0.01, 0.1)},
        {**_SGD, "nesterov": True, "decoupled_weight_decay": True},
        {"lr": _uniform(0.01, 0.1), "decoupled_weight_decay": True},
    ],
    "Adagrad": [
        {**_ADAGRAD, "initial_accumulator_value": 0.7, "average": True, "eps_inside_root": True},
        {**_ADAGRAD, "initial_accumulator_value": "gradient"},
        {**_ADAGRAD, "initial_accumulator_value": 0.7},
        _ADAGRAD,
    ],
    "FTRL": [
        {"lr": _uniform(0.1, 1.0), "beta": _uniform(0.3, 1.5), "lambda1": _uniform(0.01, 0.1)},
        {"lr": _uniform(0.1, 1.0), "beta": _uniform(0.3, 1.5)},
    ],
    "Adadelta": [{"lr": _uniform(0.3, 3.0), "rho": _uniform(0.5, 0.95), "eps": _uniform(1e-4, 1e-2)}],
    "RMSprop": [
        {
            **_RMSPROP,
            "momentum": _MOMENTUM,
            "centered": True,
            "eps_inside_root": True,
            "initial_accumulator_value": 0.5,
        },
        {**_RMSPROP, "momentum": _MOMENTUM, "centered": True},
        {**_RMSPROP, "initial_accumulator_value": "gradient"},
        {**_RMSPROP, "centered": True, "initial_accumulator_value": "gradient"},
        {**_RMSPROP, "momentum": _MOMENTUM, "eps_inside_root": True},
        _RMSPROP,
    ],
    "Rprop": [
        {
            "lr": _uniform(0.02, 0.05),
            "etas": _pair((0.3, 0.8), (1.1, 1.9)),
            "step_sizes": _pair((0.005, 0.015), (0.06, 0.12)),
        }
    ],
    "ASGD": [
        {
            "lr": _uniform(0.02, 0.2),
            "lambd": _uniform(0.05, 0.5),
            "alpha": _uniform(0.4, 1.0),
            "t0": _uniform(3.0, 12.0),
        }
    ],
    "Adam": [
        {**_ADAM, "decoupled_weight_decay": True, "eps_inside_root": True},
        {**_MOMENTS, "eps_inside_root": True},
        {**_ADAM, "row_steps": True},
        _ADAM,
        _MOMENTS,
    ],
    "AdamW": [{**_ADAM, "eps_inside_root": True}, _ADAM, _MOMENTS, {**_MOMENTS, "row_steps": True}],
    "RowWiseAdagrad": [{**_ADAGRAD, "initial_accumulator_value": 0.7}, _ADAGRAD],
    "RowWiseAdam": [{**_MOMENTS, "row_steps": True}, _MOMENTS],
    "NAdam": [
        {
            **_MOMENTS,
            "momentum_decay": _uniform(0.05, 1.0),
            "decoupled_weight_decay": True,
            "eps_inside_root": True,
        },
        {**_MOMENTS, "momentum_decay": _uniform(0.05, 1.0)},
    ],
    "RAdam": [
        {
            **_MOMENTS,
            "rectify_threshold": _uniform(6.5, 8.0),
            "decoupled_weight_decay": True,
            "eps_inside_root": True,
        },
        _MOMENTS,
    ],
    "SignSGD": [
        {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM},
        # coupled decay would decide the sign alone where g = 0, and jump where theta is 0 to rounding
        {"lr": _uniform(0.01, 0.1), "decoupled_weight_decay": True},
    ],
    "Muon": [
        {
            **_MUON,
            "ns_coefficients": "polar-express",
            "ns_steps": 4,
            "adjust_lr_fn": "match_rms_adamw",
            "normalize": True,
            "beta2": _uniform(0.8, 0.97),
        },
        {
            **_MUON,
            "nesterov": False,
            "ns_coefficients": (2.0, -1.5, 0.5),
            "batch_axes": 0,
            "adamw_lr_ratio": 2.0,
        },
        {**_MUON, "use_muon": False, "adamw_lr_ratio": 0.4, "adamw_weight_decay": _uniform(0.2, 0.6)},
        {**_MUON, "method": "exact"},
    ],
    "AdaBelief": [
        {**_ADAM, "eps": _uniform(1e-4, 1e-2), "decoupled_weight_decay": False},
        {**_MOMENTS, "eps": _uniform(1e-4, 1e-2)},
        {"lr": _uniform(0.01, 0.1)},
    ],
    "Adan": [
        {
            "lr": _uniform(0.01, 0.1),
            "betas": lambda rng: tuple(map(float, rng.uniform(0.6, 0.95, 3))),
            "eps": _EPS,
        }
    ],
    "LARS": [
        {
            "lr": _uniform(0.1, 1.0),
            "momentum": _MOMENTUM,
            "trust_coefficient": _uniform(0.01, 0.1),
            "eps": _uniform(0.5, 2),
        }
    ],
}


def _guess(key: str, default: Any) -> Any:
    """A draw for a keyword from its name, or else from its default."""
    if key in _MOMENTS:
        return _MOMENTS[key]
    if key == "momentum":
        return _MOMENTUM
    if isinstance(default, bool):
        return not default
    if isinstance(default, float):
        return _uniform(0.1, 0.9) if 0 <= default < 1 else _uniform(0.5 * default, 0.8 * default)
    raise TypeError(f"{key}={default!r}: name a draw for it in VARIANTS")


for _name, _spec in ORACLES.items():
    if _name not in VARIANTS:
        _own = {key: value for key, value in _spec.defaults.items() if key != "weight_decay"}
        VARIANTS[_name] = [{key: _guess(key, value) for key, value in _own.items()}]

GROUP: Draw = {
    "weight_decay": _uniform(0.02, 0.3),
    "l1": _uniform(0.02, 0.1),
    "l1_proximal": _uniform(0.02, 0.1),
    "maximize": True,
}
WHOLE: Draw = {
    "clip_value": _uniform(1.0, 4.0),
    "clip_norm": _uniform(5.0, 20.0),
    "ema_decay": _uniform(0.5, 0.9),
}

#: What `clip_norm` may mean besides the 2-norm of all gradients, with limits that are reached.
CLIPPING: dict[str, Draw] = {
    "largest": {"clip_norm": _uniform(0.3, 0.8), "clip_norm_type": "inf"},
    "per tensor": {"clip_norm": _uniform(1.0, 4.0), "clip_norm_per": "tensor"},
    "largest per tensor": {
        "clip_norm": _uniform(0.3, 0.8),
        "clip_norm_type": np.inf,
        "clip_norm_per": "tensor",
    },
}


def draw(setting: Draw, rng: np.random.Generator) -> Draw:
    """One value for each keyword of a setting."""
    return {key: value(rng) if callable(value) else value for key, value in setting.items()}
