"""AdaBelief."""

from __future__ import annotations

from fastopt._hypers import boolean, epsilon, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class AdaBelief(Optimizer):
    r"""AdaBelief: Adam with the second moment about the average: long steps where gradients agree with it.

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        s \leftarrow \beta_2 s + (1 - \beta_2)(g - m)^2 + \epsilon \\
        \theta &\leftarrow \theta - lr \, \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-16
        Added to s at every step, and to the corrected root.
    weight_decay : float, default 0
        Takes ``lr * weight_decay * theta`` from theta, or, without `decoupled_weight_decay`, is an L2
        penalty.
    amsgrad : bool, default False
        Divide by the largest s so far (of the uncorrected ones).
    decoupled_weight_decay : bool, default True
        What `weight_decay` means.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), ``exp_avg_var`` (s), with `amsgrad` ``max_exp_avg_var``. Source: Zhuang et al.
    2020 (arXiv:2010.07468), Algorithm 2, with eps = 1e-16 and decoupled decay as in the authors' code.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.AdaBelief([w], lr=0.1)
    >>> for _ in range(2):
    ...     opt.step([2 * w])
    >>> w
    array([ 0.77272909, -1.77233869])
    """

    rule = Rule("adabelief", comparison_lr=5e-3, weight_decay="decoupled", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "amsgrad": boolean(),
        "decoupled_weight_decay": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-16,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        decoupled_weight_decay: bool = True,
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
            **common,
        )
