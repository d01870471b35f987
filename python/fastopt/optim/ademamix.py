"""AdEMAMix."""

from __future__ import annotations

from fastopt._hypers import epsilon, in_double, non_negative, optional, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class AdEMAMix(Optimizer):
    r"""AdEMAMix: Adam whose step is the sum of a fast average of the gradients and a very slow one.

    .. math::
        m_1 &\leftarrow \beta_1 m_1 + (1 - \beta_1) g, \quad
        m_2 \leftarrow \beta_3 m_2 + (1 - \beta_3) g, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) g^2 \\
        \theta &\leftarrow (1 - lr\,\lambda)\,\theta
        - lr \, \frac{m_1 / (1 - \beta_1^t) + \alpha m_2}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float, float), default (0.9, 0.999, 0.9999)
        :math:`\beta_1, \beta_2, \beta_3`: decay of the fast average, of the squares and of the slow average,
        in [0, 1).
    alpha : float, default 5
        :math:`\alpha \ge 0`: the share of the slow average, 4 to 10 in the paper.
    alpha_warmup : float, optional
        Steps in which :math:`\alpha` rises linearly from 0. The paper takes the whole training.
    beta3_warmup : float, optional
        Steps in which :math:`\beta_3` rises from :math:`\beta_1`, its half-life linearly. Without both, the
        slow average starts at full strength, and early steps are large.
    eps : float, default 1e-8
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`, decoupled.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg_fast`` (m1), ``exp_avg_slow`` (m2, which is never in eight bits),
    ``exp_avg_sq`` (v). The warm-ups count each parameter's own steps. Source: Pagliardini, Ablin & Grangier
    2024 (arXiv:2409.03137), Algorithm 1; names as in the authors' ml-ademamix, whose default of `alpha` is 2.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([1.0, -2.0])
    >>> opt = fastopt.AdEMAMix([w], lr=0.1, alpha_warmup=1000, beta3_warmup=1000)
    >>> opt.step([2 * w])
    >>> w
    array([ 0.89997498, -1.89997498])
    """

    rule = Rule("ademamix", comparison_lr=5e-3, weight_decay="decoupled", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2", "beta3"),
        "alpha": non_negative(),
        "alpha_warmup": in_double(optional(non_negative(), 0.0)),
        "beta3_warmup": in_double(optional(non_negative(), 0.0)),
        "eps": epsilon(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        alpha_warmup: float | None = None,
        beta3_warmup: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            alpha=alpha,
            alpha_warmup=alpha_warmup,
            beta3_warmup=beta3_warmup,
            eps=eps,
            weight_decay=weight_decay,
            **common,
        )
