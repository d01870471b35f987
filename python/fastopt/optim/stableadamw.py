"""StableAdamW."""

from __future__ import annotations

from fastopt._hypers import epsilon, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class StableAdamW(Optimizer):
    r"""StableAdamW: AdamW that steps shorter where gradients are larger than their averages know.

    With :math:`\hat\beta_i = \beta_i (1 - \beta_i^{t-1}) / (1 - \beta_i^t)`, which correct for the start:

    .. math::
        m &\leftarrow \hat\beta_1 m + (1 - \hat\beta_1) g, \qquad
        v \leftarrow \hat\beta_2 v + (1 - \hat\beta_2) g^2 \\
        r &= \sqrt{\operatorname{mean}\bigl(g^2 / \max(v, \epsilon^2)\bigr)} \\
        \theta &\leftarrow \theta - \frac{lr}{\max(1, r)}
        \left( \frac{m}{\sqrt{v} + \epsilon} + \lambda \theta \right)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.99)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-6
        Added to the root.
    weight_decay : float, default 0.01
        :math:`\lambda`, decoupled; it is clipped with the step.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    The mean is over each array as a whole. States: ``exp_avg`` (m), ``exp_avg_sq`` (v). Source: Wortsman et
    al. 2023 (arXiv:2304.13013), Algorithm 2; defaults as in optimi.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.StableAdamW([w], lr=0.1, weight_decay=0.5)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.85000005, -1.80000002])
    """

    rule = Rule("stableadamw", comparison_lr=5e-3, weight_decay="own", norms="update", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay, **common)
