"""LARS."""

from __future__ import annotations

from fastopt._hypers import in_double, non_negative, positive, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class LARS(Optimizer):
    r"""LARS: momentum SGD for large batches, with a rate for each tensor from the ratio of two norms.

    .. math::
        r &= \text{trust} \cdot \frac{\|\theta\|}{\|g\| + \lambda \|\theta\| + \epsilon} \\
        v &\leftarrow \mu v + lr \, r \, (g + \lambda \theta), \qquad \theta \leftarrow \theta - v

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1).
    weight_decay : float, default 5e-4
        :math:`\lambda`, in the sum and in the ratio.
    trust_coefficient : float, default 1e-3
        > 0.
    eps : float, default 0
        :math:`\epsilon`.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    The norms are over each array as a whole; r = 1 where one of the two is 0. State: ``momentum_buffer``
    (v). Biases and scales are usually given a group of their own with another optimizer. Source: You, Gitman
    & Ginsburg 2017 (arXiv:1708.03888), Algorithm 1.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.LARS([w], lr=10)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.99, -1.98])
    """

    rule = Rule("lars", comparison_lr=5.0, weight_decay="own", momentum="sum", norms="gradient")
    _hypers = {
        "momentum": unit(),
        "trust_coefficient": in_double(positive()),
        "eps": in_double(non_negative()),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 0.1,
        *,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        trust_coefficient: float = 1e-3,
        eps: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            weight_decay=weight_decay,
            trust_coefficient=trust_coefficient,
            eps=eps,
            **common,
        )
