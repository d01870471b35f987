"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._compat import with_presets
from fastopt._hypers import Hyper, boolean, choice, epsilon, since, start, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


def _form() -> Hyper:
    return choice("gradient", "step")._replace(native=lambda _, form: {"step_form": float(form == "step")})


class RMSprop(Optimizer):
    r"""RMSprop: the gradient over the root of the moving average of its square.

    .. math::
        v &\leftarrow \alpha v + (1 - \alpha) g^2, \qquad u = \frac{g}{\sqrt{v} + \epsilon} \\
        b &\leftarrow \mu b + u, \qquad \theta \leftarrow \theta - lr \, b

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    alpha : float, default 0.99
        Decay of the averages, in [0, 1).
    eps : float, default 1e-8
        Added to the root, or, with `eps_inside_root`, under it.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    momentum : float, default 0
        :math:`\mu`, in [0, 1); 0 keeps no b.
    centered : bool, default False
        Divide by the standard deviation instead: v is replaced by :math:`\max(v - m^2, 0)` in the root,
        where m is the moving average of g. The cut keeps rounding from making it NaN.
    initial_accumulator_value : float or "gradient", default 0
        Where v starts: a number >= 0 (TensorFlow 1 has 1), or the square of the first gradient.
    eps_inside_root : bool, default False
        :math:`\sqrt{v + \epsilon}`, as Keras and TensorFlow have it.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, as Keras does.
    momentum_form : {"gradient", "step"}
        What b sums: u, or lr u, and is then the step (Keras, TensorFlow, optax); they differ as soon as lr
        changes.
    compat : {"torch", "keras", "tf1", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``square_avg`` (v), with `centered` ``grad_avg`` (m), with `momentum` ``momentum_buffer`` (b).
    Sources: Tieleman & Hinton 2012 (Coursera, lecture 6e); Graves 2013 (arXiv:1308.0850), equations 38 to
    45, for `centered`; `torch.optim.RMSprop`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.RMSprop([w], lr=0.01)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.83291797, -1.83094333])
    """

    rule = Rule("rmsprop", comparison_lr=3e-3, momentum="sum", squares=True, torch=True)
    _hypers = {
        "alpha": unit(),
        "eps": epsilon(),
        "momentum": unit(),
        "centered": boolean(),
        "initial_accumulator_value": start(),
        "eps_inside_root": boolean(),
        "decoupled_weight_decay": since(boolean(), False),
        "momentum_form": since(_form(), "gradient"),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        initial_accumulator_value: float | Literal["gradient"] = 0.0,
        eps_inside_root: bool = False,
        decoupled_weight_decay: bool = False,
        momentum_form: Literal["gradient", "step"] = "gradient",
        compat: Literal["torch", "keras", "tf1", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            initial_accumulator_value=initial_accumulator_value,
            eps_inside_root=eps_inside_root,
            decoupled_weight_decay=decoupled_weight_decay,
            momentum_form=momentum_form,
            **common,
        )

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        return super()._flags(values) | ({"momentum"} if values["momentum"] > 0 else set())

    @classmethod
    def _starts(cls, values: Mapping[str, Any]) -> Mapping[str, float | None]:
        start = values["initial_accumulator_value"]
        return {"square_avg": None if start == "gradient" else start}
