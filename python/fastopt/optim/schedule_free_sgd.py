"""Schedule-Free SGD."""

from __future__ import annotations

from fastopt._hypers import fraction, in_double, non_negative, whole
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optim._schedule_free import ScheduleFree
from fastopt.rule import Rule


class ScheduleFreeSGD(ScheduleFree):
    r"""Schedule-Free SGD: averaging in place of a falling learning rate, without knowing when to stop.

    Gradients are taken at :math:`y`, where the parameters are while training; :math:`x` is the average of the
    :math:`z` so far, with the weights :math:`w_t = t^r \, (\max_{s \le t} lr_s)^p`, and what training is for:
    see `train`, `eval` and `averaged_weights`.

    .. math::
        c &= w_t \big/ \textstyle\sum_{s \le t} w_s, \qquad
        y \leftarrow y + c \, (z - y) - lr \, (1 - \beta (1 - c)) \, g, \qquad
        z \leftarrow z - lr \, g \\
        x &= y + (1 - 1 / \beta) (z - y)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`. The rate may be large: 1 is the default.
    momentum : float, default 0.9
        :math:`\beta` in (0, 1): where between z (0) and x (1) gradients are taken.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * y`` is added to the gradient.
    warmup_steps : int, default 0
        Over so many steps the rate rises in equal parts.
    r : float, default 0
        :math:`r \ge 0`: the power of the step's number in the weights of the average.
    weight_lr_power : float, default 2
        :math:`p \ge 0`: the power of the largest rate so far in them, which is for the warm-up.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`. `l1_proximal` and `ema_decay` are of y.

    Notes
    -----
    States: ``z``, which begins as the parameter, and the numbers ``weight_sum`` (the sum of the weights) and
    ``lr_max``; they are a tensor's own, so they differ from the authors' only where a tensor lacks a gradient
    at times. A new optimizer is in training mode. Source: Defazio et al. 2024 (arXiv:2405.15682), Algorithm
    1, with the weights and the warm-up of the authors' package `schedulefree`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.ScheduleFreeSGD([w], lr=0.25)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.3625, -0.725 ])
    >>> with opt.averaged_weights():
    ...     print(w)
    [ 0.375 -0.75 ]
    """

    rule = Rule("schedule_free_sgd", comparison_lr=1.0, momentum="interpolation")
    _hypers = {
        "momentum": fraction(),
        "warmup_steps": whole(),
        "r": in_double(non_negative()),
        "weight_lr_power": in_double(non_negative()),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1.0,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            r=r,
            weight_lr_power=weight_lr_power,
            **common,
        )
