"""Schedule-Free RAdam."""

from __future__ import annotations

from fastopt._hypers import epsilon, in_double, non_negative, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optim._schedule_free import ScheduleFree, betas
from fastopt.rule import Rule


class ScheduleFreeRAdam(ScheduleFree):
    r"""Schedule-Free RAdam: neither a falling learning rate nor a warm-up to choose.

    `fastopt.ScheduleFreeAdamW` with RAdam's rectification as warm-up of the rate. With
    :math:`\rho_\infty = 2 / (1 - \beta_2) - 1` and
    :math:`\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)`,

    .. math::
        lr_t = lr \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
        {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \quad \text{where } \rho_t > 4,

    and before (for :math:`\beta_2 = 0.999` four steps) 0 or, without `silent_sgd_phase`, lr with the gradient
    itself as direction.

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
        At y and decoupled from the average of squares.
    r : float, default 0
        :math:`r \ge 0`: the power of the step's number in the weights of the average.
    weight_lr_power : float, default 2
        :math:`p \ge 0`: the power of the largest rate so far in them.
    silent_sgd_phase : bool, default True
        Let the first few steps update the average of squares alone.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`. `l1_proximal` and `ema_decay` are of y.

    Notes
    -----
    States: as of `fastopt.ScheduleFreeAdamW`. Sources: Defazio et al. 2024 (arXiv:2405.15682), whose package
    `schedulefree` has this variant; Liu et al. 2020 (arXiv:1908.03265).

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.ScheduleFreeRAdam([w], lr=0.1)
    >>> for _ in range(8):
    ...     opt.step([2 * w])
    >>> with opt.averaged_weights():
    ...     print(w.round(6))
    [ 0.9919   -1.991892]
    """

    rule = Rule("schedule_free_radam", comparison_lr=1e-2, weight_decay="own", squares=True)
    _hypers = {
        "betas": betas(),
        "eps": epsilon(),
        "r": in_double(non_negative()),
        "weight_lr_power": in_double(non_negative()),
        "silent_sgd_phase": switch(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 2.5e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        silent_sgd_phase: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            r=r,
            weight_lr_power=weight_lr_power,
            silent_sgd_phase=silent_sgd_phase,
            **common,
        )
