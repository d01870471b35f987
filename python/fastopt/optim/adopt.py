"""ADOPT."""

from __future__ import annotations

from fastopt._hypers import boolean, epsilon, in_double, non_negative, optional, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class ADOPT(Optimizer):
    r"""ADOPT: Adam in another order, which converges whatever beta2 is: normalise, then average.

    The first gradient makes :math:`v = g^2` and nothing moves. Then, with :math:`c = (t - 1)^p`:

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) \operatorname{clip}\bigl(g / \max(\sqrt{v}, \epsilon),\, -c,\,
        c\bigr), \qquad \theta \leftarrow \theta - lr\,m \\
        v &\leftarrow \beta_2 v + (1 - \beta_2) g^2

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.9999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-6
        The least that a gradient is divided by.
    clip_exp : float or None, default 0.25
        :math:`p \ge 0`; None clips nothing, as the first version of the paper.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, but for the first
        step (the authors' `decouple`).
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v). Source: Taniguchi et al. 2024 (arXiv:2411.02853), Algorithm
    2, with the authors' clipping.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.ADOPT([w], lr=0.1)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.99, -1.99])
    """

    rule = Rule("adopt", comparison_lr=5e-3, squares=True, fills_first=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "clip_exp": in_double(optional(non_negative(), -1.0)),
        "decoupled_weight_decay": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.9999),
        eps: float = 1e-6,
        clip_exp: float | None = 0.25,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            clip_exp=clip_exp,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )
