"""NAdam."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, in_double, non_negative, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov's momentum.

    With :math:`\mu_t = \beta_1 (1 - \tfrac{1}{2} \, 0.96^{t \psi})`:

    .. math::
        P &\leftarrow P \mu_t, \qquad m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow \theta - lr \left( \frac{1 - \mu_t}{1 - P} \, g
        + \frac{\mu_{t+1}}{1 - P \mu_{t+1}} \, m \right)
        \Big/ \left( \sqrt{v / (1 - \beta_2^t)} + \epsilon \right)

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the corrected root, or, with `eps_inside_root`, under it.
    weight_decay : float, default 0
        L2 penalty, added to the gradient, or decoupled decay of the parameters.
    momentum_decay : float, default 4e-3
        :math:`\psi \ge 0`: how fast :math:`\mu_t` rises from half of :math:`\beta_1` to all of it.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead.
    eps_inside_root : bool, default False
        :math:`\sqrt{v / (1 - \beta_2^t) + \epsilon}`.
    compat : {"torch", "keras", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v), and the number ``mu_product`` (P). Four formulas go by this
    name (Dozat, PyTorch, Keras and optax differ in the schedule of the momentum); this one is the paper's
    with PyTorch's. Sources: Dozat 2016 (ICLR workshop), "Incorporating Nesterov momentum into Adam";
    `torch.optim.NAdam`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.NAdam([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.89435482, -1.89435482])
    """

    rule = Rule("nadam", comparison_lr=5e-3, squares=True, torch=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "momentum_decay": in_double(non_negative()),
        "decoupled_weight_decay": boolean(),
        "eps_inside_root": boolean(),
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
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        eps_inside_root: bool = False,
        compat: Literal["torch", "keras", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            eps_inside_root=eps_inside_root,
            **common,
        )
