"""FTRL-Proximal."""

from __future__ import annotations

from fastopt._hypers import non_negative
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class FTRL(Optimizer):
    r"""FTRL-Proximal: Adagrad's rates with an L1 penalty that leaves exact zeros, for sparse linear models.

    .. math::
        z &\leftarrow z + lr\,g - \bigl(\sqrt{n + g^2} - \sqrt{n}\bigr)\,\theta, \quad n \leftarrow n + g^2 \\
        \theta &\leftarrow \begin{cases} 0 & |z| \le lr\,\lambda_1 \\
        -\dfrac{z - \operatorname{sign}(z)\,lr\,\lambda_1}{\beta + \sqrt{n} + lr\,\lambda_2} &
        \text{otherwise} \end{cases}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    beta : float, default 1
        :math:`\beta \ge 0`, added to the root.
    lambda1 : float, default 0
        :math:`\lambda_1 \ge 0`, the L1 penalty: of the sum of all losses, not of each step's.
    weight_decay : float, default 0
        :math:`\lambda_2`, the L2 penalty of that sum.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``linear`` (z) and ``sum`` (n). z is `lr` times that of the paper, which is the same for a
    constant `lr`; a schedule then changes the steps to come and not the weights. Before an element's first
    gradient z is :math:`-\beta\theta`: weights that begin elsewhere than at 0, as those of the paper do not,
    stay there. Without penalties the steps are those of `Adagrad` with ``eps=beta``. The weights follow from
    the states, so what else writes to them is undone. Source: McMahan et al. 2013, "Ad click prediction: a
    view from the trenches" (KDD), Algorithm 1.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.zeros(3)
    >>> opt = fastopt.FTRL([w], lr=0.5, lambda1=1.0)
    >>> opt.step([np.array([3.0, 1.0, -2.0])])
    >>> w
    array([-0.25      ,  0.        ,  0.16666667])
    """

    rule = Rule("ftrl", comparison_lr=1.0, weight_decay="own", squares=True)
    _hypers = {"beta": non_negative(), "lambda1": non_negative()}

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-1,
        *,
        beta: float = 1.0,
        lambda1: float = 0.0,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, beta=beta, lambda1=lambda1, weight_decay=weight_decay, **common)
