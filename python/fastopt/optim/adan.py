"""Adan."""

from __future__ import annotations

from fastopt._hypers import epsilon, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Adan(Optimizer):
    r"""Adan: Nesterov's momentum inside Adam, from the differences of successive gradients.

    With :math:`d = g - g_{prev}` (0 at the first step), and each average divided by its :math:`1 - \beta^t`:

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) d, \qquad
        n \leftarrow \beta_3 n + (1 - \beta_3) (g + \beta_2 d)^2 \\
        \theta &\leftarrow \frac{1}{1 + lr\,\lambda}
        \left( \theta - lr \, \frac{\hat m + \beta_2 \hat v}{\sqrt{\hat n} + \epsilon} \right)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float, float), default (0.98, 0.92, 0.99)
        Decay of the three averages, in [0, 1): one minus the paper's.
    eps : float, default 1e-8
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`, by the division above.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_diff`` (v), ``exp_avg_sq`` (n), ``prev_grad``. Source: Xie et al. 2022
    (arXiv:2208.06677), Algorithm 1, with the averages started at 0 and corrected as in the authors' code.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Adan([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("adan", comparison_lr=1e-2, weight_decay="own", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2", "beta3"),
        "eps": epsilon(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float, float] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay, **common)
