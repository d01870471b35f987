"""RAdam."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import at_least, boolean, epsilon, in_double, pair, since, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class RAdam(Optimizer):
    r"""RAdam: Adam that waits for its second moment: a warm-up computed instead of tuned.

    With m and v as in `fastopt.Adam`, :math:`\rho_\infty = 2 / (1 - \beta_2) - 1` and
    :math:`\rho_t = \rho_\infty - 2 t \beta_2^t / (1 - \beta_2^t)`:

    .. math::
        \theta \leftarrow \theta - lr \, \frac{m}{1 - \beta_1^t} \cdot
        \begin{cases}
        r_t \sqrt{1 - \beta_2^t} \,/\, (\sqrt{v} + \epsilon) & \rho_t > \text{threshold} \\ 1 & \text{else}
        \end{cases}, \qquad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}{(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the root, before its correction, or, with `eps_inside_root`, under it.
    weight_decay : float, default 0
        L2 penalty, added to the gradient, or decoupled decay of the parameters.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead.
    rectify_threshold : float, default 5
        At least 4, the paper's value, below which :math:`r_t` does not exist. PyTorch has 5.
    eps_inside_root : bool, default False
        :math:`\sqrt{v + \epsilon}`.
    eps_hat : bool, default True
        Epsilon joins the root before its correction, as in PyTorch; False: after it, as in optax.
    compat : {"torch", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v). Until the threshold is passed (step 6 with the defaults) the
    step is that of momentum alone, of the gradient's own size. Sources: Liu et al. 2020 (arXiv:1908.03265),
    Algorithm 2; `torch.optim.RAdam`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.RAdam([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.8, -1.6])
    """

    rule = Rule("radam", comparison_lr=5e-3, squares=True, torch=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "decoupled_weight_decay": boolean(),
        "rectify_threshold": in_double(at_least(4.0)),
        "eps_inside_root": boolean(),
        "eps_hat": since(switch(), True),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        rectify_threshold: float = 5.0,
        eps_inside_root: bool = False,
        eps_hat: bool = True,
        compat: Literal["torch", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            rectify_threshold=rectify_threshold,
            eps_inside_root=eps_inside_root,
            eps_hat=eps_hat,
            **common,
        )
