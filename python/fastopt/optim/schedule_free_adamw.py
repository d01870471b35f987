"""Schedule-Free AdamW."""

from __future__ import annotations

from fastopt._hypers import epsilon, in_double, non_negative, whole
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optim._schedule_free import ScheduleFree, betas
from fastopt.rule import Rule


class ScheduleFreeAdamW(ScheduleFree):
    r"""Schedule-Free AdamW: averaging in place of a falling learning rate, without knowing when to stop.

    Gradients are taken at :math:`y`, where the parameters are while training; :math:`x` is the average of the
    :math:`z` so far, with the weights :math:`w_t = t^r \, (\max_{s \le t} lr_s)^p`, and what training is for:
    see `train`, `eval` and `averaged_weights`.

    .. math::
        v &\leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
        d = g \big/ \left( \sqrt{v / (1 - \beta_2^t)} + \epsilon \right) + \lambda y, \qquad
        c = w_t \big/ \textstyle\sum_{s \le t} w_s \\
        y &\leftarrow y + c \, (z - y) - lr \, (1 - \beta_1 (1 - c)) \, d, \qquad
        z \leftarrow z - lr \, d \\
        x &= y + (1 - 1 / \beta_1) (z - y)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        :math:`\beta_1` in (0, 1): where between z (0) and x (1) gradients are taken; :math:`\beta_2` in [0,
        1): decay of the average of squares.
    eps : float, default 1e-8
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`, at y and decoupled from the average of squares.
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
    States: ``z``, which begins as the parameter, ``exp_avg_sq`` (v), and the numbers ``weight_sum`` (the sum
    of the weights) and ``lr_max``; they are a tensor's own, so they differ from the authors' only where a
    tensor lacks a gradient at times. A new optimizer is in training mode. Source: Defazio et al. 2024
    (arXiv:2405.15682), Algorithm 1, as in the authors' package `schedulefree`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.ScheduleFreeAdamW([w], lr=0.1)
    >>> for _ in range(3):
    ...     opt.step([2 * w])
    >>> with opt.averaged_weights():
    ...     print(w.round(6))
    [ 0.806141 -1.802948]
    """

    rule = Rule("schedule_free_adamw", comparison_lr=1e-2, weight_decay="own", squares=True)
    _hypers = {
        "betas": betas(),
        "eps": epsilon(),
        "warmup_steps": whole(),
        "r": in_double(non_negative()),
        "weight_lr_power": in_double(non_negative()),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 2.5e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            r=r,
            weight_lr_power=weight_lr_power,
            **common,
        )
