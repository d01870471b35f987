"""MARS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._hypers import boolean, choice, epsilon, non_negative, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule

_FLAGS = ("cautious", "cautious_weight_decay", "centralize")


class MARS(Optimizer):
    r"""MARS: Adam or Lion on gradients that are corrected by how they changed, which reduces their variance.

    .. math::
        c = g + \gamma \frac{\beta_1}{1 - \beta_1} (g - g_{prev}), \qquad
        c \leftarrow c / \max(1, \|c\|), \qquad m \leftarrow \beta_1 m + (1 - \beta_1) c

    and then, with v the average of :math:`c^2`, AdamW's step of m and v or the sign of m:

    .. math::
        \theta \leftarrow (1 - lr\,\lambda)\,\theta
        - lr \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
        \qquad \text{or} \qquad \theta \leftarrow (1 - lr\,\lambda)\,\theta - lr \operatorname{sign}(m)

    Arrays of fewer than two axes are updated by AdamW in the same step, with numbers of their own.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.95, 0.99)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`, decoupled.
    gamma : float, default 0.025
        :math:`\gamma \ge 0`: how much of the change is added.
    mars_type : {"mars-adamw", "mars-lion"}
        Which step is taken. The second has no v and looks at no `eps`.
    amsgrad : bool, default False
        With "mars-adamw": divide by the largest v so far (of the uncorrected ones). AdamW's arrays do so too.
    optimize_1d : bool, default False
        The rule for arrays of fewer than two axes as well; the keywords below then have no effect.
    lr_1d_factor : float, default 1
        AdamW's learning rate is `lr` times this.
    betas_1d : (float, float), default (0.9, 0.95)
        AdamW's.
    weight_decay_1d : float, default 0.1
        AdamW's.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    The norm is over each array as a whole. The first change is from 0, as in the authors' code: its gradient
    counts :math:`1 + \gamma \beta_1 / (1 - \beta_1)` times. There the rule is for arrays of two axes alone;
    here it is for kernels of convolutions too. States: ``exp_avg`` (m), ``exp_avg_sq`` (v), ``last_grad``,
    with `amsgrad` ``max_exp_avg_sq``; AdamW's arrays have no ``last_grad``. Source: Yuan et al. 2024
    (arXiv:2411.10438), Algorithms 2 to 4, with the last step's gradient for that at the new batch.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w, b = np.ones((1, 2)), np.ones(2)
    >>> opt = fastopt.MARS([w, b], lr=0.1)
    >>> opt.step([2 * w, 2 * b])
    >>> w, b
    (array([[0.9, 0.9]]), array([0.89, 0.89]))
    """

    rule = Rule("mars", comparison_lr=5e-3, weight_decay="decoupled", norms="gradient", squares=True)
    _other = "adam"
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon()._replace(native=lambda name, value: {"eps": value, "other.eps": value}),
        "gamma": non_negative(),
        "mars_type": choice("mars-adamw", "mars-lion"),
        "amsgrad": boolean(),
        "optimize_1d": boolean(),
        "lr_1d_factor": non_negative()._replace(native=lambda name, value: {"other.lr_ratio": value}),
        "betas_1d": pair("other.beta1", "other.beta2"),
        "weight_decay_1d": non_negative()._replace(native=lambda name, value: {"other.weight_decay": value}),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 3e-3,
        *,
        betas: tuple[float, float] = (0.95, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        gamma: float = 0.025,
        mars_type: Literal["mars-adamw", "mars-lion"] = "mars-adamw",
        amsgrad: bool = False,
        optimize_1d: bool = False,
        lr_1d_factor: float = 1.0,
        betas_1d: tuple[float, float] = (0.9, 0.95),
        weight_decay_1d: float = 0.1,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            gamma=gamma,
            mars_type=mars_type,
            amsgrad=amsgrad,
            optimize_1d=optimize_1d,
            lr_1d_factor=lr_1d_factor,
            betas_1d=betas_1d,
            weight_decay_1d=weight_decay_1d,
            **common,
        )

    @classmethod
    def _check_group(cls, values: Mapping[str, Any]) -> None:
        if values["amsgrad"] and values["mars_type"] == "mars-lion":  # first: there is no such rule to ask
            raise ValueError("amsgrad: expected False with mars_type='mars-lion', which has no v, got True")
        super()._check_group(values)

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        chosen = {"lion": values["mars_type"] == "mars-lion", "amsgrad": values["amsgrad"]}
        return {flag for flag, on in chosen.items() if on}

    @classmethod
    def _other_flags(cls, values: Mapping[str, Any]) -> set[str]:
        return {"amsgrad"} if values["amsgrad"] else set()

    @classmethod
    def _takes(cls, values: Mapping[str, Any], shape: tuple[int, ...], name: str | None) -> bool:
        return len(shape) >= 2 or bool(values["optimize_1d"])

    @classmethod
    def _native(cls, values: Mapping[str, Any]) -> dict[str, float]:
        shared = {f"other.{key}": values[key] for key in ("l1", "l1_proximal")}
        shared |= {f"other.{key}": float(values[key]) for key in _FLAGS}
        return {**super()._native(values), **shared}
