"""LAMB."""

from __future__ import annotations

from typing import Literal

from fastopt._compat import with_presets
from fastopt._hypers import epsilon, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class LAMB(Optimizer):
    r"""LAMB: Adam for large batches, with the step of each tensor scaled to the length of the tensor.

    With m and v as in `fastopt.Adam`:

    .. math::
        r = \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon} + \lambda \theta, \qquad
        \theta \leftarrow \theta - lr \, \frac{\|\theta\|}{\|r\|} \, r

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-6
        Added to the corrected root.
    weight_decay : float, default 0.01
        :math:`\lambda`, in r.
    compat : {"keras", "optax"}, optional
        What that framework does under this name, in formula, constants and defaults (docs/design/rules.md has
        the table); keywords that are given win.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    The norms are over each array as a whole; their ratio is 1 where one of the two is 0. States: ``exp_avg``
    (m), ``exp_avg_sq`` (v). Source: You et al. 2020 (arXiv:1904.00962), Algorithm 2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.LAMB([w], lr=0.1)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.84266693, -1.84110914])
    """

    rule = Rule("lamb", comparison_lr=1e-2, weight_decay="own", norms="update", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
    }

    @with_presets
    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        compat: Literal["keras", "optax"] | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay, **common)
