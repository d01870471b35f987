"""Averaged stochastic gradient descent."""

from __future__ import annotations

from fastopt._hypers import in_double, non_negative
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class ASGD(Optimizer):
    r"""Averaged SGD: gradient descent whose average, kept beside it, converges at the best possible rate.

    .. math::
        \theta &\leftarrow (1 - \lambda \eta_t)\,\theta - \eta_t \, g, \qquad
        a \leftarrow a + \mu_t (\theta - a) \\
        \eta_{t+1} &= \frac{lr}{(1 + \lambda \, lr \, t)^\alpha}, \qquad
        \mu_{t+1} = \frac{1}{\max(1,\ t - t_0)}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    lambd : float, default 1e-4
        :math:`\lambda \ge 0`: decay of the parameters and of the rate.
    alpha : float, default 0.75
        :math:`\alpha \ge 0`: the power with which the rate falls.
    t0 : float, default 1e6
        :math:`t_0 \ge 0`: the step after which averaging begins; until then a is theta itself.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``ax`` (a, the average: copy it over the parameters when done), and the numbers ``eta`` and
    ``mu``, which are those of the coming step: so a new lr acts one step late, as in PyTorch. Sources:
    Polyak & Juditsky 1992 (SIAM J. Control Optim. 30); Bottou 2012, "Stochastic gradient descent tricks";
    `torch.optim.ASGD`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.ASGD([w], lr=0.1, t0=0)
    >>> for _ in range(3):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.51198368, -1.02396736])
    >>> opt.state_dict()["state"][0]["ax"]
    array([ 0.57598444, -1.15196888])
    """

    rule = Rule("asgd", comparison_lr=0.3, torch=True)
    _hypers = {
        "lambd": in_double(non_negative()),
        "alpha": in_double(non_negative()),
        "t0": in_double(non_negative()),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, **common)
