"""Signum."""

from __future__ import annotations

from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optim.signsgd import SignSGD


class Signum(SignSGD):
    r"""Signum: the sign of a moving average of the gradients. `SignSGD` by its name with momentum.

    .. math::
        m \leftarrow \mu m + (1 - \mu) g, \qquad \theta \leftarrow \theta - lr \operatorname{sign}(m)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1); 0 keeps no state: m is g.
    weight_decay : float, default 0
        L2 penalty, added to the gradient, or decoupled decay of the parameters.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    State: ``momentum_buffer`` (m). sign(0) = 0. Source: Bernstein et al. 2018 (arXiv:1802.04434), Algorithm
    2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Signum([w], lr=0.1)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.8, -1.8])
    """

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )
