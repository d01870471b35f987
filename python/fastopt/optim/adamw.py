"""AdamW."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import boolean, epsilon, pair, since, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class AdamW(Optimizer):
    r"""Adam with decoupled weight decay: :math:`\theta \leftarrow (1 - lr\,\lambda)\theta` before its step.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the corrected root, or, with `eps_inside_root`, under it.
    weight_decay : float, default 0.01
        :math:`\lambda`.
    amsgrad, eps_inside_root, row_steps : bool, default False
        See `fastopt.Adam`, whose formula and states these are.
    eps_hat : bool, default False
        Add epsilon to the root before its correction, as TensorFlow and Keras do: the same epsilon is then
        larger in the first steps.
    compat : {"torch", "keras", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    Source: Loshchilov & Hutter 2019 (arXiv:1711.05101), Algorithm 2, with the schedule multiplier in lr as in
    `torch.optim.AdamW`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.AdamW([w], lr=0.1, weight_decay=0.5)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.85, -1.8 ])
    """

    rule = Rule("adam", comparison_lr=5e-3, weight_decay="decoupled", squares=True, torch=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "amsgrad": boolean(),
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
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        eps_inside_root: bool = False,
        eps_hat: bool = False,
        row_steps: bool = False,
        compat: Literal["torch", "keras", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            eps_inside_root=eps_inside_root,
            eps_hat=eps_hat,
            row_steps=row_steps,
            **common,
        )
