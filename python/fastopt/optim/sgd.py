"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, choice, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class SGD(Optimizer):
    r"""Gradient descent, with momentum in the three forms of the literature, and Nesterov's acceleration.

    With :math:`\mu` = `momentum` and :math:`d` = `dampening`:

    ============ ========================================================= =================================
    form         velocity                                                  update
    ============ ========================================================= =================================
    "gradient"   :math:`v \leftarrow \mu v + (1 - d) g`                    :math:`\theta \mathrel{-}= lr\, v`
    "step"       :math:`v \leftarrow \mu v + lr\,(1 - d) g`                :math:`\theta \mathrel{-}= v`
    "average"    :math:`v \leftarrow \mu v + (1 - \mu)(1 - d) g`           :math:`\theta \mathrel{-}= lr\, v`
    ============ ========================================================= =================================

    The first step takes d = 0. With `nesterov`, v in the update is replaced by :math:`c g + \mu v`, c the
    factor of g in the velocity.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0
        In [0, 1). 0 keeps no state.
    dampening : float, default 0
        In [0, 1].
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient.
    nesterov : bool, default False
        Needs momentum and no dampening. For the gradient at the true look-ahead point see `lookahead`.
    momentum_form : {"gradient", "step", "average"}
        "gradient" is PyTorch's, "step" Keras's and scikit-learn's; they differ as soon as lr changes.
    decoupled_weight_decay : bool, default False
        Let `weight_decay` take ``lr * weight_decay * theta`` from the parameters instead, past the momentum:
        SGDW.
    compat : {"torch", "keras", "tf1", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    State: ``momentum_buffer``. Sources: Polyak 1964; Sutskever, Martens, Dahl & Hinton 2013;
    `torch.optim.SGD`; of SGDW Loshchilov & Hutter 2019 (arXiv:1711.05101), Algorithm 1, with the schedule
    multiplier in lr as in `AdamW`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.46, -0.92])
    """

    rule = Rule("sgd", comparison_lr=0.3, momentum="sum", torch=True)
    _hypers = {
        "momentum": unit(),
        "dampening": unit(closed=True),
        "nesterov": boolean(),
        "momentum_form": choice("gradient", "step", "average"),
        "decoupled_weight_decay": boolean(),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        momentum_form: Literal["gradient", "step", "average"] = "gradient",
        decoupled_weight_decay: bool = False,
        compat: Literal["torch", "keras", "tf1", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            momentum_form=momentum_form,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )

    @classmethod
    def _check_group(cls, values: Mapping[str, Any]) -> None:
        super()._check_group(values)
        if values["nesterov"] and (values["momentum"] == 0 or values["dampening"] != 0):
            raise ValueError(
                "nesterov: expected momentum > 0 and dampening 0 with it, got "
                f"momentum={values['momentum']} and dampening={values['dampening']}"
            )

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        if values["momentum"] == 0:
            return set()
        form = values["momentum_form"]
        return {"momentum", f"{form}_form"} | ({"nesterov"} if values["nesterov"] else set())

    def _check_lookahead(self) -> None:
        if any(group["nesterov"] for group in self.param_groups):
            raise TypeError("lookahead(): nesterov=True takes Nesterov's step itself; use one of the two")
        if not any(group["momentum"] > 0 for group in self.param_groups):
            raise TypeError("lookahead(): expected SGD with momentum > 0")
