"""LaProp."""

from __future__ import annotations

from fastopt._hypers import boolean, epsilon, pair, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class LaProp(Optimizer):
    r"""LaProp: momentum of normalised gradients, where Adam normalises the momentum.

    .. math::
        v &\leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        m \leftarrow \beta_1 m + (1 - \beta_1) \, lr \, \frac{g}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} \\
        \ell &\leftarrow \beta_1 \ell + (1 - \beta_1) \, lr, \qquad
        \theta \leftarrow (1 - \lambda) \bigl(\theta - (lr / \ell)\, m\bigr)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-15
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`: the share of the parameters that goes at each step, after it. No multiple of lr, as
        in the authors' code: a schedule of lr leaves it alone.
    fixed_decay : bool, default True
        False: the share is ``lr * weight_decay``.
    amsgrad : bool, default False
        Divide by the largest v so far (of the uncorrected ones).
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    :math:`lr / \ell` is :math:`1 / (1 - \beta_1^t)` for a constant lr, and 0 where lr is 0. States:
    ``exp_avg`` (m), ``exp_avg_sq`` (v), with `amsgrad` ``max_exp_avg_sq``, and the number ``exp_avg_lr_1``
    (:math:`\ell`). Source: Ziyin, Wang & Ueda 2020 (arXiv:2002.04839), Algorithm 1, and the authors' code.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.LaProp([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("laprop", comparison_lr=5e-3, weight_decay="own", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "fixed_decay": switch(),
        "amsgrad": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 4e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
        weight_decay: float = 0.0,
        fixed_decay: bool = True,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            fixed_decay=fixed_decay,
            amsgrad=amsgrad,
            **common,
        )
