"""The numbers that a rule forms before a step, against the same formulas in arithmetic with 60 digits.

Each is a few units in its last place off, whatever the hyper-parameters and the step: nothing cancels, be
a beta or its power as near to 1 as may be. The formulas here are the papers', in the plain spelling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from fastopt import _dispatch

STEPS = (1, 2, 3, 4, 5, 6, 7, 10, 11, 100, 1000, 12345, 10**6, 10**9)
ULPS = 12  # of the result: about two for each of the operations in a row that form it
PRODUCT = 0.7
_NADAM = Decimal(float("0.96"))  # the double
SWITCHES = (
    *("average", "eps_hat", "fixed_decay", "step_form"),
    *("silent_sgd_phase", "use_bias_correction", "safeguard_warmup"),
)
Numbers = dict[str, Decimal]


def _missing(beta: Decimal, t: int) -> Decimal:
    return 1 - beta**t


def _average(beta: Decimal) -> list[Decimal]:
    small = beta < Decimal(1) / 16
    return [1 - beta, beta if small else Decimal(1), Decimal(not small)]


def _flush(eps: Decimal, inside: bool = False) -> Decimal:
    return Decimal(float(eps) >= (1e-24 if inside else 1e-12))


def _adam(h: Numbers, t: int, s: list[Decimal], inside: bool) -> list[Decimal]:
    c2 = _missing(h["beta2"], t)
    correct = 1 / c2 if inside else 1 / c2.sqrt()
    step = h["lr"] / _missing(h["beta1"], t)
    if h.get("eps_hat"):
        step, correct = step * c2.sqrt(), Decimal(1)
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    return [step, *averages, correct, h["eps"], _flush(h["eps"], inside)]


def _adamax(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    return [h["lr"] / _missing(h["beta1"], t), *averages, h["eps"], _flush(h["eps"])]


def _adabelief(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    return _adam(h, t, s, inside=False)[:-1]


def _nadam(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    base = _NADAM
    mu, after = (h["beta1"] * (1 - base ** (k * h["momentum_decay"]) / 2) for k in (t, t + 1))
    product = s[0] * mu
    look = [h["lr"] * (1 - mu) / (1 - product), h["lr"] * after / (1 - product * after)]
    return [*look, *_adam(h, t, s, inside=False)[1:]]


def _length(beta: Decimal, t: int) -> Decimal:
    return 2 / (1 - beta) - 1 - 2 * t * beta**t / (1 - beta**t)


def _radam(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    limit, rho = 2 / (1 - h["beta2"]) - 1, _length(h["beta2"], t)
    rectify = Decimal(1)
    if rho > h["rectify_threshold"]:
        square = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        rectify = (square * _missing(h["beta2"], t)).sqrt()
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    step = h["lr"] * rectify / _missing(h["beta1"], t)
    eps = h["eps"] if h["eps_hat"] else h["eps"] * _missing(h["beta2"], t).sqrt()
    return [step, *averages, eps, Decimal(rho > h["rectify_threshold"]), _flush(h["eps"])]


def _adan(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    decay = h["lr"] * h["weight_decay"]
    steps = [h["lr"] / _missing(h["beta1"], t), h["lr"] * h["beta2"] / _missing(h["beta2"], t), h["beta2"]]
    averages = [x for k in "123" for x in _average(h[f"beta{k}"])]
    correct = 1 / _missing(h["beta3"], t).sqrt()
    return [*steps, *averages, correct, h["eps"], decay / (1 + decay), _flush(h["eps"])]


def _lamb(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    correct = [1 / _missing(h["beta1"], t), 1 / _missing(h["beta2"], t).sqrt()]
    return [h["lr"], *averages, *correct, h["eps"], h["weight_decay"], _flush(h["eps"])]


def _soap(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    if t == 1:
        return [Decimal(0), Decimal(0)]
    correct = _missing(h["beta2"], t - 1).sqrt() / _missing(h["beta1"], t - 1)
    return [h["lr"] * (correct if h["correct_bias"] else 1), h["lr"] * h["weight_decay"]]


def _asgd(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    eta = h["lr"] if t == 1 else s[0]
    return [eta, h["lambd"] * eta, s[1]]


def _adagrad(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    return [h["lr"] / (1 + (t - 1) * h["lr_decay"]), 1 / Decimal(t) if h["average"] else Decimal(1), h["eps"]]


def _rowwise_adagrad(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    """The root is the row's."""
    return [h["lr"] / (1 + (t - 1) * h["lr_decay"]), h["eps"], Decimal(0)]


def _sgd(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    rest, damped = 1 - h["momentum"], Decimal(1) if t == 1 else 1 - h["dampening"]
    return [h["lr"], rest * damped, h["momentum"], *_average(h["momentum"])]


def _lars(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    return [h["lr"], *_average(h["momentum"]), h["weight_decay"], h["trust_coefficient"], h["eps"]]


def _rmsprop(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    one = Decimal(1)
    outside, inside = (one, h["lr"]) if h["step_form"] else (h["lr"], one)
    averages = [*_average(h["alpha"]), h["eps"], *_average(h["momentum"])]
    return [outside, *averages, inside, _flush(h["eps"])]


def _ademamix(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    alpha = h["alpha"] * (t / h["alpha_warmup"] if t < h["alpha_warmup"] else 1)
    beta3 = h["beta3"]
    if t < h["beta3_warmup"]:
        first, last, share = h["beta1"].ln(), beta3.ln(), t / h["beta3_warmup"]
        beta3 = (first * last / ((1 - share) * last + share * first)).exp()
    averages = [x for beta in (h["beta1"], h["beta2"], beta3) for x in _average(beta)]
    correct = 1 / _missing(h["beta2"], t).sqrt()
    steps = [h["lr"] / _missing(h["beta1"], t), h["lr"] * alpha]
    return [*steps, *averages, correct, h["eps"], _flush(h["eps"])]


def _adopt(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    flush = _flush(h["eps"])
    if t == 1:
        return [Decimal(0), *_average(h["beta1"]), *_average(Decimal(0)), Decimal(0), Decimal(1), flush]
    limit = min(Decimal(float(np.finfo(np.float32).max)), Decimal(t - 1) ** h["clip_exp"])
    return [h["lr"], *_average(h["beta1"]), *_average(h["beta2"]), limit, h["eps"], flush]


def _laprop(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    rates = h["beta1"] * s[0] + (1 - h["beta1"]) * h["lr"]
    decay = h["weight_decay"] * (1 if h["fixed_decay"] else h["lr"])
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    correct = 1 / _missing(h["beta2"], t).sqrt()
    return [h["lr"], *averages, correct, h["eps"], h["lr"] / rates, decay, _flush(h["eps"])]


def _grams(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    root = _missing(h["beta2"], t).sqrt()
    eps = h["eps"] * (1 if h["eps_hat"] else root)
    averages = [*_average(h["beta1"]), *_average(h["beta2"])]
    return [h["lr"] * root / _missing(h["beta1"], t), *averages, eps, _flush(h["eps"])]


def _mars(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    change = h["gamma"] * h["beta1"] / (1 - h["beta1"])
    return [(adam := _adam(h, t, s, inside=False))[0], change, Decimal(1), change, *adam[1:]]


def _stableadamw(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    averages = []
    for beta in (h["beta1"], h["beta2"]):
        now = beta * _missing(beta, t - 1) / _missing(beta, t) if t > 1 else Decimal(0)
        averages += _average(now)
    return [h["lr"], *averages, h["eps"], h["weight_decay"], _flush(h["eps"])]


def _interpolated(h: Numbers, t: int, s: list[Decimal], lr: Decimal, beta: Decimal) -> list[Decimal]:
    weight = Decimal(t) ** h["r"] * max(s[1], lr) ** h["weight_lr_power"]
    c = weight / (s[0] + weight)
    return [c, lr * (1 - beta * (1 - c)), lr]


def _warmed(h: Numbers, t: int) -> Decimal:
    return h["lr"] * min(Decimal(1), t / max(h["warmup_steps"], Decimal(t)))


def _schedule_free_sgd(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    return _interpolated(h, t, s, _warmed(h, t), h["momentum"])


def _schedule_free_adamw(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    correct = 1 / _missing(h["beta2"], t).sqrt()
    steps = _interpolated(h, t, s, _warmed(h, t), h["beta1"])
    return [*steps, *_average(h["beta2"]), correct, h["eps"], h["weight_decay"], _flush(h["eps"])]


def _schedule_free_radam(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    limit, rho = 2 / (1 - h["beta2"]) - 1, _length(h["beta2"], t)
    rectify = 1 - h["silent_sgd_phase"]
    if rho > 4:
        rectify = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)).sqrt()
    steps = _interpolated(h, t, s, h["lr"] * rectify, h["beta1"])
    correct = 1 / _missing(h["beta2"], t).sqrt()
    rest = [h["eps"], h["weight_decay"], Decimal(rho > 4), _flush(h["eps"])]
    return [*steps, *_average(h["beta2"]), correct, *rest]


def _prodigy(h: Numbers, t: int, s: list[Decimal]) -> list[Decimal]:
    d, step = s[0], s[0] * h["lr"]
    if h["use_bias_correction"]:
        counted = int(s[3]) + 1
        step *= _missing(h["beta2"], counted).sqrt() / _missing(h["beta1"], counted)
    averages = [x for k in "123" for x in _average(h[f"beta{k}"])]
    weight = d / h["d0"] * (d if h["safeguard_warmup"] else step)
    return [d, *averages, weight, step, h["weight_decay"] * step, h["eps"], _flush(d * h["eps"])]


ORACLES: dict[tuple[str, int], Callable[..., list[Decimal]]] = {
    ("sgd", 9): _sgd,  # momentum, as an average
    ("adagrad", 0): _adagrad,
    ("adadelta", 0): lambda h, t, s: [h["lr"], *_average(h["rho"]), h["eps"], _flush(h["eps"], True)],
    ("rmsprop", 2): _rmsprop,
    ("rprop", 0): lambda h, t, s: [h["shrink"], h["grow"], h["smallest"], h["largest"]],
    ("asgd", 0): _asgd,
    ("adam", 0): lambda h, t, s: _adam(h, t, s, inside=False),
    ("adam", 2): lambda h, t, s: _adam(h, t, s, inside=True),
    ("adamax", 0): _adamax,
    ("nadam", 0): _nadam,
    ("radam", 0): _radam,
    ("lion", 0): lambda h, t, s: [h["lr"], *_average(h["beta1"]), *_average(h["beta2"])],
    ("signsgd", 1): lambda h, t, s: [h["lr"], *_average(h["momentum"])],
    ("adabelief", 0): _adabelief,
    ("adan", 0): _adan,
    ("muon", 0): lambda h, t, s: [h["lr"], *2 * _average(h["momentum"])],
    ("soap", 0): _soap,
    ("kron", 0): lambda h, t, s: [h["lr"]],
    ("shampoo", 0): lambda h, t, s: [h["lr"]],
    ("adafactor", 0): lambda h, t, s: [Decimal(0) if h["scaled_decay"] else h["lr"] * h["weight_decay"]],
    ("lars", 0): _lars,
    ("lamb", 0): _lamb,
    ("ademamix", 0): _ademamix,
    ("adopt", 0): _adopt,
    ("laprop", 0): _laprop,
    ("grams", 0): _grams,
    ("stableadamw", 0): _stableadamw,
    ("mars", 0): _mars,
    ("schedule_free_sgd", 0): _schedule_free_sgd,
    ("schedule_free_adamw", 0): _schedule_free_adamw,
    ("schedule_free_radam", 0): _schedule_free_radam,
    ("prodigy", 0): _prodigy,
    ("rowwise_adagrad", 0): _rowwise_adagrad,
    ("rowwise_adam", 0): lambda h, t, s: [*_adam(h, t, s, inside=False), Decimal(0)],
    ("ftrl", 0): lambda h, t, s: [h["lr"], h["beta"], h["lr"] * h["lambda1"], h["lr"] * h["weight_decay"]],
}


def _rules() -> dict[str, Any]:
    return {rule["name"]: rule for rule in _dispatch.core.rules()}


def _draw(name: str, rng: np.random.Generator) -> float:
    """Betas from 0 to the double before 1, on the scale of 1 - beta; the others over decades."""
    if name.endswith("_warmup"):
        return float(rng.choice([0.0, 10 ** rng.uniform(0, 10)]))
    if name in SWITCHES:
        return float(rng.integers(2))
    if name.startswith("beta") or name in ("momentum", "alpha", "rho", "dampening"):
        return float(rng.choice([0.0, 0.3, 0.9, 0.99987, 1 - 1e-9, 1 - 10 ** rng.uniform(-8, -0.3)]))
    if name == "rectify_threshold":
        return 5.0
    return float(10 ** rng.uniform(-8, 1))


def _ulps(got: float, exact: Decimal) -> float:
    return float(abs(Decimal(got) - exact) / Decimal(math.ulp(float(exact))))


def _cancelled(name: str, beta2: Decimal, t: int) -> float:
    """How much nearer to 0 than its terms is rho - 4, of which Schedule-Free RAdam's rates are formed: they
    begin at 0, and are accurate to a few units of lr there.
    """
    near = _length(beta2, t) - 4 if name == "schedule_free_radam" else Decimal(4)
    return float(4 / near) if 0 < near < 4 else 1.0


def test_every_rule_is_here() -> None:
    assert {name for name, _ in ORACLES} == set(_rules())


@pytest.mark.parametrize("t", STEPS)
@pytest.mark.parametrize(("name", "flags"), ORACLES, ids=str)
def test_coefficients(name: str, flags: int, t: int) -> None:
    rule, rng = _rules()[name], np.random.default_rng(t)
    for _ in range(60):
        hypers = {key: _draw(key, rng) for key in rule["hypers"]}
        if "beta3_warmup" in hypers:  # from or to 0: below
            hypers |= {key: hypers[key] or 0.3 for key in ("beta1", "beta3")}
        scalars = [float(rng.uniform(0, 1)) if key != "k" else t - 1.0 for key in rule["scalars"]]
        got, _ = _dispatch.core.prepare(name, flags, hypers, t, scalars)
        with localcontext() as context:
            context.prec = 60
            exact = ORACLES[name, flags](
                {k: Decimal(v) for k, v in hypers.items()}, t, [Decimal(x) for x in scalars]
            )
            bound = ULPS * _cancelled(name, Decimal(hypers.get("beta2", 0.0)), t)
        assert len(got) == len(exact)
        for i, (mine, true) in enumerate(zip(got, exact, strict=True)):
            assert _ulps(mine, true) <= bound, (i, mine, true, hypers)


@pytest.mark.parametrize("t", STEPS[:-1])
def test_a_half_life_from_or_to_nothing(t: int) -> None:
    """An average without memory has a half-life of 0, also at an end of AdEMAMix's warm-up."""
    h = dict.fromkeys(_rules()["ademamix"]["hypers"], 0.5) | {"beta3_warmup": float(10**9)}
    share = Decimal(t) / 10**9
    for first, last, power in ((0.0, 0.999, 1 / share), (0.999, 0.0, 1 / (1 - share)), (0.0, 0.0, None)):
        h |= {"beta1": first, "beta3": last}
        rest, keep, near = _dispatch.core.prepare("ademamix", 0, h, t, [])[0][8:11]
        with localcontext() as context:
            context.prec = 60
            beta = Decimal(max(first, last)) ** power if power is not None else Decimal(0)
        assert abs(Decimal(rest) - (1 - beta)) < Decimal("1e-15") * (1 - beta)
        assert abs(Decimal(keep) - (beta if near == 0 else 1)) < Decimal("1e-15")


@pytest.mark.parametrize("t", STEPS)
def test_the_scalars_that_a_step_leaves(t: int) -> None:
    rng = np.random.default_rng(t)
    for _ in range(60):
        h = {key: _draw(key, rng) for key in _rules()["asgd"]["hypers"]} | {"alpha": float(rng.uniform(0, 1))}
        _, (eta, mu) = _dispatch.core.prepare("asgd", 0, h, t, [0.1, 1.0])
        n = {key: _draw(key, rng) for key in _rules()["nadam"]["hypers"]}
        p = {key: _draw(key, rng) for key in _rules()["laprop"]["hypers"]}
        _, (rate,) = _dispatch.core.prepare("laprop", 0, p, t, [PRODUCT])
        _, (product,) = _dispatch.core.prepare("nadam", 0, n, t, [PRODUCT])
        with localcontext() as context:
            context.prec = 60
            d = {k: Decimal(v) for k, v in h.items()}
            assert _ulps(eta, d["lr"] / (1 + d["lambd"] * d["lr"] * t) ** d["alpha"]) <= ULPS, h
            assert _ulps(mu, 1 / max(Decimal(1), t - d["t0"])) <= ULPS
            r = {k: Decimal(p[k]) for k in ("beta1", "lr")}
            assert _ulps(rate, r["beta1"] * Decimal(PRODUCT) + (1 - r["beta1"]) * r["lr"]) <= ULPS
            e = {k: Decimal(v) for k, v in n.items()}
            mu_t = e["beta1"] * (1 - _NADAM ** (t * e["momentum_decay"]) / 2)
            assert _ulps(product, Decimal(PRODUCT) * mu_t) <= ULPS, n


def test_what_no_step_is_prepared_with() -> None:
    prepare, hypers = _dispatch.core.prepare, dict.fromkeys(_rules()["nadam"]["hypers"], 0.5)
    assert prepare("nadam", 0, hypers, 1, [1.0])[1] != [1.0]
    for name, flags in (("nadm", 0), ("nadam", 1 << 20)):
        with pytest.raises(ValueError, match=f"no rule {name} with flags {flags}"):
            prepare(name, flags, hypers, 1, [1.0])
    for t, scalars in ((0, [1.0]), (-5, [1.0]), (1, []), (1, [1.0, 1.0])):
        with pytest.raises(ValueError, match="expected a step >= 1 and the scalars of the rule"):
            prepare("nadam", 0, hypers, t, scalars)
    for missing in hypers:
        with pytest.raises(IndexError):
            prepare("nadam", 0, {k: v for k, v in hypers.items() if k != missing}, 1, [1.0])
