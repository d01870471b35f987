"""Adam."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, pair, since, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Adam(Optimizer):
    r"""Adam: moving averages of the gradient and of its square, corrected for their start at zero.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow \theta - lr \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the corrected root, or, with `eps_inside_root`, under it.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    amsgrad : bool, default False
        Divide by the largest v so far (of the uncorrected ones, as PyTorch and Keras do).
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, as in `AdamW`.
    eps_inside_root : bool, default False
        :math:`\sqrt{v / (1 - \beta_2^t) + \epsilon}`.
    eps_hat : bool, default False
        Add epsilon to the root before its correction, as TensorFlow and Keras do: the same epsilon is then
        larger in the first steps.
    compat : {"torch", "keras", "tf1", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    row_steps : bool, default False
        For tables: let t be the number of a row's own steps and not of the table's, so that a row that
        `fastopt.SparseRows` give late begins with a step of lr. Rows are those of the first axis and lie one
        behind the other, as in C's order.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_sq`` (v), with `amsgrad` ``max_exp_avg_sq``, with
    `row_steps` ``row_steps``, a number for each row. Sources: Kingma & Ba 2015
    (arXiv:1412.6980), Algorithm 1; Reddi, Kale & Kumar 2018 (arXiv:1904.09237); `torch.optim.Adam`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Adam([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.9, -1.9])
    """

    rule = Rule("adam", comparison_lr=5e-3, squares=True, torch=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "amsgrad": boolean(),
        "decoupled_weight_decay": boolean(),
        "eps_inside_root": boolean(),
        "eps_hat": since(switch(), False),
        "row_steps": since(boolean(), False),
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
        amsgrad: bool = False,
        decoupled_weight_decay: bool = False,
        eps_inside_root: bool = False,
        eps_hat: bool = False,
        row_steps: bool = False,
        compat: Literal["torch", "keras", "tf1", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            decoupled_weight_decay=decoupled_weight_decay,
            eps_inside_root=eps_inside_root,
            eps_hat=eps_hat,
            row_steps=row_steps,
            **common,
        )
