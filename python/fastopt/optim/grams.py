"""Grams."""

from __future__ import annotations

from fastopt._hypers import epsilon, pair, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Grams(Optimizer):
    r"""Grams: steps as long as Adam's, in the direction of the sign of the gradient.

    With m and v as in `fastopt.Adam`:

    .. math::
        \theta \leftarrow (1 - lr\,\lambda)\,\theta - lr \, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \,
        \frac{|m|}{\sqrt{v} + \epsilon} \, \operatorname{sign}(g)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-6
        Added to the root.
    eps_hat : bool, default True
        The root is of the uncorrected v, as in the authors' code. False: of :math:`v / (1 - \beta_2^t)`, as
        in `Adam`.
    weight_decay : float, default 0
        :math:`\lambda`, decoupled.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v). sign(0) = 0: an element rests where its gradient is 0,
    whatever its average is. Source: Cao, Li & Song 2024 (arXiv:2412.17107), Algorithm 1.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Grams([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.90000158, -1.90000079])
    """

    rule = Rule("grams", comparison_lr=1e-2, weight_decay="decoupled", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "eps_hat": switch(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        eps_hat: bool = True,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            eps_hat=eps_hat,
            weight_decay=weight_decay,
            **common,
        )
