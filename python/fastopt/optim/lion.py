"""Lion."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Lion(Optimizer):
    r"""Lion: the sign of a moving average of the gradients, with one state.

    .. math::
        \theta &\leftarrow (1 - lr\,\lambda)\,\theta - lr \operatorname{sign}(\beta_1 m + (1 - \beta_1) g) \\
        m &\leftarrow \beta_2 m + (1 - \beta_2) g

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.99)
        Decay of the average that is stepped along and of the one that is kept, in [0, 1).
    weight_decay : float, default 0
        :math:`\lambda`, decoupled. With lr 3 to 10 times smaller than AdamW's it wants to be as much larger.
    compat : {"keras", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    State: ``exp_avg`` (m). sign(0) = 0: what never had a gradient stays. Source: Chen et al. 2023
    (arXiv:2302.06675), Algorithm 2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Lion([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("lion", comparison_lr=1e-3, weight_decay="decoupled")
    _hypers = {
        "betas": pair("beta1", "beta2"),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        compat: Literal["keras", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, betas=betas, weight_decay=weight_decay, **common)
