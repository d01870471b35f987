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
_ADADELTA: Draw = {"lr": _uniform(0.3, 3.0), "rho": _uniform(0.5, 0.95), "eps": _uniform(1e-4, 1e-2)}
_WARM: Draw = {"warmup_steps": lambda rng: int(rng.integers(3, 9))}
_AVERAGED: Draw = {"r": _uniform(0.1, 0.9), "weight_lr_power": _uniform(0.5, 1.5)}
_PRODIGY: Draw = {  # random gradients lead nowhere: a large coefficient, so that the estimate grows
    "lr": _uniform(0.5, 1.0),
    "betas": _BETAS,
    "eps": _EPS,
    "d0": _uniform(0.02, 0.1),
    "d_coef": _uniform(5.0, 12.0),
}
_SGD: Draw = {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM}

_MUON: Draw = {
    "lr": _uniform(0.01, 0.1),
    "momentum": _MOMENTUM,
    "eps": _uniform(1.0, 4.0),
    "adamw_betas": _BETAS,
    "adamw_eps": _EPS,
}

# blocks of single numbers: rounding in roots of matrices is in the unit of their norm (tests/test_shampoo.py)
_SHAMPOO: Draw = {"lr": _uniform(0.02, 0.2), "epsilon": _uniform(0.1, 1.0), "block_size": 1}
_ADAFACTOR: Draw = {
    "lr": _uniform(0.02, 0.2),
    "beta2_decay": _uniform(-0.9, -0.5),
    "eps": _pair((0.01, 0.1), (0.01, 0.1)),
    "d": _uniform(0.3, 0.9),
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
        {**_ADAGRAD, "initial_accumulator_value": 0.7, "decoupled_weight_decay": True},
        _ADAGRAD,
    ],
    "FTRL": [
        {"lr": _uniform(0.1, 1.0), "beta": _uniform(0.3, 1.5), "lambda1": _uniform(0.01, 0.1)},
        {"lr": _uniform(0.1, 1.0), "beta": _uniform(0.3, 1.5)},
    ],
    "Adadelta": [_ADADELTA, {**_ADADELTA, "decoupled_weight_decay": True}],
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
        {
            **_RMSPROP,
            "momentum": _MOMENTUM,
            "momentum_form": "step",
            "decoupled_weight_decay": True,
        },
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
        _ADAM,
        _MOMENTS,
        {**_MOMENTS, "eps_hat": True},
        {**_ADAM, "eps_hat": True, "eps_inside_root": True},
        {**_ADAM, "row_steps": True},
    ],
    "AdamW": [
        {**_ADAM, "eps_inside_root": True},
        _ADAM,
        _MOMENTS,
        {**_MOMENTS, "eps_hat": True},
        {**_MOMENTS, "row_steps": True},
    ],
    "Adamax": [
        _MOMENTS,
        {**_MOMENTS, "eps_after_max": True, "decoupled_weight_decay": True},
    ],
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
        {**_MOMENTS, "eps_hat": False},
        {**_MOMENTS, "eps_hat": False, "eps_inside_root": True},
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
    # bases of full rank after one gradient of the problem's shapes; others are in tests/test_soap.py
    "SOAP": [
        {
            **_MOMENTS,
            "shampoo_beta": _uniform(0.6, 0.9),
            "precondition_frequency": 2,
            "max_precond_dim": 3,
            "precondition_1d": True,
            "normalize_grads": True,
            "correct_bias": False,
        },
        {**_MOMENTS, "precondition_frequency": 3, "max_precond_dim": 3},
        {**_MOMENTS, "max_precond_dim": 1, "merge_dims": True},
    ],
    "Shampoo": [
        {
            **_SHAMPOO,
            "momentum": _MOMENTUM,
            "beta2": _uniform(0.7, 0.95),
            "update_freq": 3,
            "grafting": "adam",
            "graft_beta2": _uniform(0.8, 0.99),
            "graft_eps": _EPS,
        },
        {**_SHAMPOO, "grafting": "sgd"},
        _SHAMPOO,
    ],
    "Kron": [
        {
            "lr": _uniform(0.01, 0.1),
            "momentum": _MOMENTUM,
            "preconditioner_update_probability": 0.6,
            "max_size_triangular": 64,
            "min_ndim_triangular": 1,
            "memory_save_mode": "one_diag",
            "momentum_into_precond_update": False,
            "precond_lr": _uniform(0.05, 0.3),
            "precond_init_scale": _uniform(0.2, 3.0),
            "balance_prob": 0.5,
        },
        {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM, "decoupled_weight_decay": False},
        {"lr": _uniform(0.01, 0.1), "momentum": 0.0, "memory_save_mode": "smart_one_diag"},
    ],
    "Adafactor": [
        {
            **_ADAFACTOR,
            "beta1": _uniform(0.5, 0.9),
            "eps": _pair((0.05, 0.2), (0.1, 0.4)),
            "scaled_decay": True,
        },
        {
            **_ADAFACTOR,
            "lr": _uniform(0.5, 0.9),
            "eps_form": "added",
            "relative_step": False,
            "scale_parameter": False,
        },
        {**_ADAFACTOR, "warmup_init": True},
        _ADAFACTOR,
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
    "AdEMAMix": [
        {
            **_MOMENTS,
            "betas": lambda rng: (*_BETAS(rng), float(rng.uniform(0.9, 0.99))),
            "alpha": _uniform(0.5, 3.0),
            "alpha_warmup": _uniform(5.0, 25.0),
            "beta3_warmup": _uniform(5.0, 25.0),
        },
        {"lr": _uniform(0.01, 0.1), "eps": _EPS, "alpha": _uniform(0.5, 3.0)},
    ],
    "ADOPT": [
        {**_MOMENTS, "clip_exp": _uniform(0.05, 0.15), "decoupled_weight_decay": True},
        {**_MOMENTS, "clip_exp": None},
        _MOMENTS,
    ],
    "LaProp": [{**_ADAM, "fixed_decay": False}, _MOMENTS],
    "Grams": [
        {**_MOMENTS, "eps_hat": False},
        _MOMENTS,
    ],
    "Signum": [
        {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM},
        {"lr": _uniform(0.01, 0.1), "momentum": _MOMENTUM, "decoupled_weight_decay": True},
    ],
    "MARS": [
        {**_ADAM, "gamma": _uniform(0.1, 0.5), "optimize_1d": True},
        {"lr": _uniform(0.01, 0.1), "betas": _BETAS, "mars_type": "mars-lion", "optimize_1d": True},
        {
            **_MOMENTS,
            "gamma": _uniform(0.1, 0.5),
            "lr_1d_factor": _uniform(0.3, 2.0),
            "betas_1d": _BETAS,
            "weight_decay_1d": _uniform(0.2, 0.6),
        },
    ],
    "ScheduleFreeSGD": [{"lr": _uniform(0.02, 0.1), "momentum": _MOMENTUM, **_AVERAGED, **_WARM}],
    "ScheduleFreeAdamW": [{**_MOMENTS, **_AVERAGED, **_WARM}, {**_MOMENTS}],
    "ScheduleFreeRAdam": [{**_MOMENTS, **_AVERAGED, "silent_sgd_phase": False}, {**_MOMENTS, **_AVERAGED}],
    "Prodigy": [
        {
            **_PRODIGY,
            "beta3": _uniform(0.8, 0.95),
            "use_bias_correction": True,
            "safeguard_warmup": True,
            "growth_rate": _uniform(1.02, 1.2),
        },
        {**_PRODIGY, "decouple": False},
        _PRODIGY,
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
