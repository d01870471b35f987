"""Adamax."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, pair, since
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Adamax(Optimizer):
    r"""Adamax: Adam with the largest gradient so far, slowly forgotten, in place of the root mean square.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad u \leftarrow \max(\beta_2 u,\ |g| + \epsilon) \\
        \theta &\leftarrow \theta - \frac{lr}{1 - \beta_1^t} \, \frac{m}{u}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the average and of the maximum, in [0, 1).
    eps : float, default 1e-8
        Added to the size of the gradient.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, as Keras does.
    eps_after_max : bool, default False
        Add epsilon to u where it divides instead, as Keras does.
    compat : {"torch", "keras", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_inf`` (u). Sources: Kingma & Ba 2015 (arXiv:1412.6980), Algorithm 2, with
    epsilon as in `torch.optim.Adamax`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Adamax([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("adamax", comparison_lr=1e-2, torch=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "decoupled_weight_decay": since(boolean(), False),
        "eps_after_max": since(boolean(), False),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        eps_after_max: bool = False,
        compat: Literal["torch", "keras", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            eps_after_max=eps_after_max,
            **common,
        )
