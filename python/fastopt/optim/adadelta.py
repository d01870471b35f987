"""Adadelta."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, since, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Adadelta(Optimizer):
    r"""Adadelta: steps in the parameters' unit, from the size of past steps over that of past gradients.

    .. math::
        s &\leftarrow \rho s + (1 - \rho) g^2, \qquad
        u = \frac{\sqrt{d + \epsilon}}{\sqrt{s + \epsilon}} \, g, \qquad
        d \leftarrow \rho d + (1 - \rho) u^2 \\
        \theta &\leftarrow \theta - lr \, u

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    rho : float, default 0.9
        Decay of the two averages, in [0, 1].
    eps : float, default 1e-6
        Under both roots; it also sets the size of the first steps.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, as Keras does.
    compat : {"torch", "keras", "tf1", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``square_avg`` (s), ``acc_delta`` (d). The paper has lr = 1, PyTorch's default; Keras defaults to
    0.001. Sources: Zeiler 2012 (arXiv:1212.5701), Algorithm 1; `torch.optim.Adadelta`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Adadelta([w], eps=1e-2)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.42913683, -1.38885516])
    """

    rule = Rule("adadelta", comparison_lr=1.0, squares=True, torch=True)
    _hypers = {
        "rho": unit(closed=True),
        "eps": epsilon(),
        "decoupled_weight_decay": since(boolean(), False),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        compat: Literal["torch", "keras", "tf1", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            rho=rho,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )
