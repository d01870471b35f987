"""SignSGD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt._hypers import boolean, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class SignSGD(Optimizer):
    r"""SignSGD: the sign of the gradient; with momentum Signum, the sign of its moving average.

    .. math::
        m \leftarrow \mu m + (1 - \mu) g, \qquad \theta \leftarrow \theta - lr \operatorname{sign}(m)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0
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
    State: with `momentum` ``momentum_buffer`` (m). sign(0) = 0. Source: Bernstein et al. 2018
    (arXiv:1802.04434), Algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.SignSGD([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("signsgd", comparison_lr=1e-3, momentum="average")
    _hypers = {
        "momentum": unit(),
        "decoupled_weight_decay": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        momentum: float = 0.0,
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

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        return super()._flags(values) | ({"momentum"} if values["momentum"] > 0 else set())
