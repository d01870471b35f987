"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, in_double, non_negative, since, start, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class Adagrad(Optimizer):
    r"""Adagrad: a rate for each coordinate that falls with the sum of its squared gradients.

    .. math::
        s &\leftarrow s + g^2 \\
        \theta &\leftarrow \theta - \frac{lr}{1 + (t - 1)\,d} \, \frac{g}{\sqrt{s} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    lr_decay : float, default 0
        :math:`d \ge 0`, which lowers the rate of all coordinates.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    initial_accumulator_value : float or "gradient", default 0
        Where s starts: a number >= 0, or the square of the first gradient, to which the first step then adds
        it again.
    eps : float, default 1e-10
        Added to the root, or, with `eps_inside_root`, under it.
    average : bool, default False
        Take the root mean square of all past gradients, :math:`\sqrt{s/t}`. With ``lr = eta / sqrt(t)`` that
        is the formula above with ``lr = eta``.
    eps_inside_root : bool, default False
        :math:`\sqrt{s + \epsilon}`.
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
    State: ``sum`` (s, also with `average`). Sources: Duchi, Hazan & Singer 2011 (JMLR 12, 2121-2159);
    `torch.optim.Adagrad`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Adagrad([w], lr=0.1)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.83310353, -1.83112505])
    """

    rule = Rule("adagrad", comparison_lr=0.1, squares=True, torch=True)
    _hypers = {
        "lr_decay": in_double(non_negative()),
        "initial_accumulator_value": start(),
        "eps": epsilon(),
        "average": switch(),
        "eps_inside_root": boolean(),
        "decoupled_weight_decay": since(boolean(), False),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float | Literal["gradient"] = 0.0,
        eps: float = 1e-10,
        average: bool = False,
        eps_inside_root: bool = False,
        decoupled_weight_decay: bool = False,
        compat: Literal["torch", "keras", "tf1", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            average=average,
            eps_inside_root=eps_inside_root,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )

    @classmethod
    def _starts(cls, values: Mapping[str, Any]) -> Mapping[str, float | None]:
        start = values["initial_accumulator_value"]
        return {"sum": None if start == "gradient" else start}
