"""Rprop."""

from __future__ import annotations

from typing import Any

from fastopt._checks import real
from fastopt._hypers import pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


def _etas(name: str, values: tuple[Any, ...]) -> tuple[float, float]:
    shrink = real(f"{name}[0]", values[0], minimum=0.0, maximum=1.0, open_low=True, open_high=True)
    return shrink, real(f"{name}[1]", values[1], minimum=1.0, open_low=True)


def _step_sizes(name: str, values: tuple[Any, ...]) -> tuple[float, float]:
    smallest = real(f"{name}[0]", values[0], minimum=0.0, open_low=True)
    return smallest, real(f"{name}[1]", values[1], minimum=smallest)


class Rprop(Optimizer):
    r"""Rprop: only signs count; a coordinate's step size grows while its sign holds, else shrinks.

    With :math:`s = \operatorname{sign}(g) \operatorname{sign}(g_{prev})` and step sizes :math:`\Delta`:

    .. math::
        \Delta &\leftarrow \operatorname{clip}(\Delta \cdot
        (\eta^+ \text{ if } s > 0,\ \eta^- \text{ if } s < 0, \text{ else } 1),\
        \Delta_{min},\ \Delta_{max}) \\
        g &\leftarrow 0 \text{ if } s < 0, \qquad \theta \leftarrow \theta - \operatorname{sign}(g) \, \Delta

    Parameters
    ----------
    params
        See `fastopt.Optimizer`.
    lr : float or callable, default 0.01
        Where every step size starts (clipped too). Later values of a schedule have no effect.
    etas : (float, float), default (0.5, 1.2)
        :math:`\eta^-` in (0, 1) and :math:`\eta^+` > 1.
    step_sizes : (float, float), default (1e-6, 50)
        :math:`0 < \Delta_{min} \le \Delta_{max}`.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``prev`` (the gradient of the step before, 0 where the sign has changed), ``step_size``
    (:math:`\Delta`). For full gradients: the signs of mini-batches change by chance. Sources: Riedmiller &
    Braun 1993, without weight backtracking as in Igel & Hüsken 2000; `torch.optim.Rprop`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.Rprop([w], lr=0.1)
    >>> for _ in range(3):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.636, -1.636])
    """

    rule = Rule("rprop", comparison_lr=1e-3, full_batch=True, torch=True)
    _hypers = {
        "etas": pair("shrink", "grow", check=_etas),
        "step_sizes": pair("smallest", "largest", check=_step_sizes),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, etas=etas, step_sizes=step_sizes, weight_decay=weight_decay, **common)
