"""Prodigy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from fastopt._checks import real
from fastopt._hypers import Hyper, boolean, in_double, pair, positive, switch, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


def _growth(name: str, value: Any) -> float | str:
    """A number >= 1, or infinity; as it is saved, since JSON has none."""
    if isinstance(value, str) and value == "inf":
        return value
    if not isinstance(value, bool) and isinstance(value, (int, float, np.floating)) and value == math.inf:
        return "inf"
    return real(name, value, minimum=1.0)


class Prodigy(Optimizer):
    r"""Prodigy: Adam that finds its learning rate, from an estimate of how far the solution is.

    :math:`d` estimates the distance from where the parameters began, :math:`\theta_0`, to the solution, over
    all parameters of the optimizer; leave `lr` at 1. With :math:`\gamma = lr \, d`:

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) d g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) d^2 g^2, \qquad
        s \leftarrow \beta_3 s + \tfrac{d}{d_0} \gamma g \\
        n &\leftarrow \beta_3 n + \tfrac{d}{d_0} \gamma \langle g, \theta_0 - \theta \rangle, \qquad
        d' = \max(d, c \, n / \|s\|_1) \\
        \theta &\leftarrow (1 - \gamma \lambda) \theta - \gamma \, m \big/ (\sqrt{v} + d' \epsilon)

    Parameters
    ----------
    params
        See `fastopt.Optimizer`.
    lr : float or callable, default 1
        A factor of the estimate. Groups have the same one, or 0: such a group rests.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    beta3 : float, optional
        :math:`\beta_3` in [0, 1): decay of what the estimate is formed of; by default the root of
        :math:`\beta_2`.
    eps : float, default 1e-8
        Added to the root, as a part of d; > 0.
    weight_decay : float, default 0
        :math:`\lambda`: decoupled decay with the rate :math:`\gamma`, or an L2 penalty.
    decouple : bool, default True
        False: `weight_decay` is an L2 penalty, added to the gradient.
    use_bias_correction : bool, default False
        Multiply :math:`\gamma` by Adam's :math:`\sqrt{1 - \beta_2^t} / (1 - \beta_1^t)`.
    safeguard_warmup : bool, default False
        Leave lr out of s, so that a rising rate does not make the estimate too large.
    d0 : float, default 1e-6
        :math:`d_0 > 0`: the first estimate.
    d_coef : float, default 1
        :math:`c > 0`: a factor of the estimate, and the number to tune.
    growth_rate : float, default inf
        :math:`\ge 1`: by this factor at most the estimate grows in a step.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`. All but `eps` and `weight_decay` of the class's own are the same in all groups.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v), ``s``, ``p0`` (:math:`\theta_0`), and the numbers ``d``,
    ``d_max``, ``d_numerator`` (n) and ``k`` (the steps that were counted), which are the same for all
    parameters, with a gradient or without. While all gradients are 0 nothing moves. Every element is part of
    the estimate, as with the authors' ``slice_p=1``. Source: Mishchenko &
    Defazio 2023 (arXiv:2306.06101), Algorithm 4, as in the authors' package `prodigyopt`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Prodigy([w])
    >>> for _ in range(50):
    ...     opt.step([2 * w])
    >>> round(opt.state[w]["d"], 4)
    0.5188
    """

    rule = Rule("prodigy", comparison_lr=1.0, weight_decay="own", norms="all", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "beta3": Hyper(
            lambda name, value: None if value is None else unit().check(name, value),
            lambda name, value: {} if value is None else {name: value},
        ),
        "eps": positive()._replace(guards=True),
        "decouple": boolean(),
        "use_bias_correction": switch(),
        "safeguard_warmup": switch(),
        "d0": positive(),
        "d_coef": positive(),
        "growth_rate": in_double(Hyper(_growth, lambda name, value: {name: float(value)})),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1.0,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float | Literal["inf"] = math.inf,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            beta3=beta3,
            eps=eps,
            weight_decay=weight_decay,
            decouple=decouple,
            use_bias_correction=use_bias_correction,
            safeguard_warmup=safeguard_warmup,
            d0=d0,
            d_coef=d_coef,
            growth_rate=growth_rate,
            **common,
        )

    @classmethod
    def _native(cls, values: Mapping[str, Any]) -> dict[str, float]:
        native = super()._native(values)
        return {"beta3": math.sqrt(native["beta2"]), **native}

    @classmethod
    def _check_group(cls, values: Mapping[str, Any]) -> None:
        """Also what is formed of `d0`: its square, and its product with `eps`, which keeps 0 / 0 away."""
        super()._check_group(values)
        single = any(str(getattr(p, "dtype", "float64")) != "float64" for p in values["params"])
        least = float(np.finfo(np.float32 if single else np.float64).tiny)
        for key, product in (("d0", values["d0"] ** 2), ("eps", values["d0"] * values["eps"])):
            if product < least:
                what = "whose square" if key == "d0" else "whose product with d0"
                raise ValueError(
                    f"{key}: expected a number {what} is at least {least:.3g}, the smallest normal number of "
                    f"{'float32' if single else 'float64'}, got {values[key]!r} with d0={values['d0']!r}"
                )
