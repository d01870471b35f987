"""SOAP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt._checks import integer, real
from fastopt._hypers import Hyper, epsilon, pair, switch
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


def _count(name: str, value: Any) -> int:
    return integer(name, value, minimum=1)


def _beta_or_less(name: str, value: Any) -> float:
    return real(name, value, minimum=-1.0, maximum=1.0, open_high=True)


def _merged(shape: tuple[int, ...], most: int) -> list[int]:
    """Neighbouring sides made one as long as the product is within the limit."""
    sides, now = [], 1
    for length in shape:
        if now * length <= most:
            now *= length
        elif now > 1:
            sides.append(now)
            now = length
        else:
            sides.append(length)
    return [*sides, now] if now > 1 or not sides else sides


class SOAP(Optimizer):
    r"""SOAP: Adam in the eigenbases of Shampoo's statistics.

    For a matrix G of gradients (and likewise along each side of a tensor of more axes):

    .. math::
        L &\leftarrow \beta_S L + (1 - \beta_S)\, G G^T, \qquad
        R \leftarrow \beta_S R + (1 - \beta_S)\, G^T G \\
        G' &= Q_L^T\, G\, Q_R, \qquad m \leftarrow \beta_1 m + (1 - \beta_1)\, G', \qquad
        v \leftarrow \beta_2 v + (1 - \beta_2)\, G'^2 \\
        \theta &\leftarrow \theta - lr\, \frac{\sqrt{1 - \beta_2^k}}{1 - \beta_1^k}\,
        Q_L\, \frac{m}{\sqrt{v} + \epsilon}\, Q_R^T, \qquad
        \theta \leftarrow \theta - lr\, \lambda\, \theta

    with the eigenvectors Q of L and R. They are computed once, by `fastopt.linalg.eigh`; every
    `precondition_frequency` steps one power iteration and a QR factorisation bring them up to date. The first
    gradient only fills L and R and no parameter moves; k counts from the second.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    betas : (float, float), default (0.95, 0.95)
        Decay of the averages m and v, in [0, 1).
    shampoo_beta : float, default -1
        Decay of L and R, in [0, 1); below 0 it is that of v.
    eps : float, default 1e-8
        Added to the root.
    weight_decay : float, default 0.01
        :math:`\lambda`, decoupled, after the step.
    precondition_frequency : int, default 10
        Steps from one refresh of the bases to the next.
    max_precond_dim : int, default 10000
        Longer sides keep their own basis, which costs neither time nor memory.
    merge_dims : bool, default False
        Join neighbouring axes as long as their product is at most `max_precond_dim`.
    precondition_1d : bool, default False
        Give arrays of one axis a basis too; otherwise they are updated as by Adam.
    normalize_grads : bool, default False
        Scale each parameter's step to a mean square of 1.
    correct_bias : bool, default True
        The factor behind lr; False makes it 1.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m) and ``exp_avg_sq`` (v) in the eigenbases, ``GG`` and ``Q``: the matrices (L, R,
    ...) and bases (as columns) of all sides that have one, in C order, one behind the other. The memory of
    two squares for each side, and per step the time of five products with each (six where a basis is new).

    Where eigenvalues are equal, as those of a tall matrix after one gradient, any basis of their space is as
    good as another, and another program chooses another. The same bits come out with any number of threads,
    but CPU levels agree to rounding only. A gradient that is not finite makes the bases, and all that
    follows, NaN.

    Source: Vyas et al. 2024 (arXiv:2409.11321), Algorithms 3 and 4, as the authors' code computes them.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> opt = fastopt.SOAP([w], lr=0.1)
    >>> opt.step([2 * w])  # fills the statistics
    >>> opt.step([2 * w])
    >>> w.round(3)
    array([[ 0.914, -1.945],
           [ 0.447,  2.912]])
    """

    rule = Rule(
        "soap",
        comparison_lr=1e-2,
        weight_decay="own",
        norms="update",
        squares=True,
        matrix=True,
        fills_first=True,
    )
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "shampoo_beta": Hyper(_beta_or_less),
        "eps": epsilon(),
        "precondition_frequency": Hyper(_count),
        "max_precond_dim": Hyper(_count, fixed=True),
        "merge_dims": switch()._replace(fixed=True),
        "precondition_1d": switch()._replace(fixed=True),
        "normalize_grads": switch(),
        "correct_bias": switch(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 3e-3,
        *,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float = -1.0,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        precondition_frequency: int = 10,
        max_precond_dim: int = 10000,
        merge_dims: bool = False,
        precondition_1d: bool = False,
        normalize_grads: bool = False,
        correct_bias: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            shampoo_beta=shampoo_beta,
            eps=eps,
            weight_decay=weight_decay,
            precondition_frequency=precondition_frequency,
            max_precond_dim=max_precond_dim,
            merge_dims=merge_dims,
            precondition_1d=precondition_1d,
            normalize_grads=normalize_grads,
            correct_bias=correct_bias,
            **common,
        )

    @classmethod
    def _state_shape(
        cls, values: Mapping[str, Any], name: str, shape: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        if name in ("exp_avg", "exp_avg_sq"):
            return shape
        most: int = values["max_precond_dim"]
        sides = _merged(shape, most) if values["merge_dims"] and len(shape) > 1 else list(shape)
        kept = len(shape) > 1 or values["precondition_1d"]
        total = sum(n * n for n in sides if n <= most) if kept and 0 not in shape else 0
        return (total,) if total else None
