"""Shampoo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._checks import integer
from fastopt._hypers import Hyper, choice, epsilon, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule

_GRAFTING = ("none", "sgd", "adam")


def _count(name: str, value: Any) -> int:
    return integer(name, value, minimum=1)


class Shampoo(Optimizer):
    r"""Shampoo: a preconditioner for each side of a tensor.

    For a matrix G of gradients (and likewise along each of the k sides of a tensor, with exponent -1 / 2k):

    .. math::
        L \leftarrow L + G G^T, \qquad R \leftarrow R + G^T G, \qquad
        \theta \leftarrow \theta - lr\, L^{-1/4}\, G\, R^{-1/4}

    from :math:`L = R = \epsilon I`. The roots come from the eigenvectors of `fastopt.linalg.eigh`.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0
        Decay of an average of gradients that takes the place of G in the step (not in L and R), in [0, 1).
    epsilon : float, default 1e-4
        :math:`\epsilon`; eigenvalues below it count as it.
    beta2 : float, default 1
        Below 1, in [0, 1), L and R are averages, :math:`L \leftarrow \beta_2 L + (1 - \beta_2)\, G G^T`.
    update_freq : int, default 1
        Steps from one computation of the roots, which takes most of the time, to the next.
    block_size : int, default 128
        Longer sides are cut into blocks of so many indices: L is then block-diagonal.
    grafting : {"none", "sgd", "adam"}, default "none"
        Scale each parameter's step to the length that SGD's or Adam's (without its momentum) would have.
    graft_beta2, graft_eps : float, default 0.999, 1e-8
        That Adam's decay of squared gradients, in [0, 1), and what it adds to their root.
    weight_decay : float, default 0
        L2 penalty.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``statistics`` (L, R, ...) and ``roots`` (their powers): the blocks of all sides, in C order, one
    behind the other; ``exp_avg`` with `momentum`, ``exp_avg_sq`` with ``grafting="adam"``. Eigenvalues below
    n units in the last place of the largest are rounding and count as so much. Arrays of no axes are updated
    by SGD. The same bits come out with any number of threads, but CPU levels agree to rounding only.

    Source: Gupta, Koren & Singer 2018 (arXiv:1802.09568), Algorithm 2; grafting as in Anil et al. 2020
    (arXiv:2002.09018), who cut the tensor, and not its preconditioners, into blocks.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.diag([1.0, -2.0])
    >>> opt = fastopt.Shampoo([w], lr=0.1, epsilon=1e-12)
    >>> opt.step([2 * w])
    >>> w
    array([[ 0.9,  0. ],
           [ 0. , -1.9]])
    """

    rule = Rule("shampoo", comparison_lr=1e-1, norms="update", momentum="average", squares=True, matrix=True)
    _hypers = {
        "momentum": unit(),
        "epsilon": epsilon(),
        "beta2": unit(closed=True),
        "update_freq": Hyper(_count),
        "block_size": Hyper(_count, fixed=True),
        "grafting": choice(*_GRAFTING)._replace(
            native=lambda name, value: {name: float(_GRAFTING.index(value))}
        ),
        "graft_beta2": unit(),
        "graft_eps": epsilon(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-1,
        *,
        momentum: float = 0.0,
        epsilon: float = 1e-4,
        beta2: float = 1.0,
        update_freq: int = 1,
        block_size: int = 128,
        grafting: Literal["none", "sgd", "adam"] = "none",
        graft_beta2: float = 0.999,
        graft_eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            epsilon=epsilon,
            beta2=beta2,
            update_freq=update_freq,
            block_size=block_size,
            grafting=grafting,
            graft_beta2=graft_beta2,
            graft_eps=graft_eps,
            weight_decay=weight_decay,
            **common,
        )

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        flags = {"momentum": values["momentum"] > 0, "graft_adam": values["grafting"] == "adam"}
        return super()._flags(values) | {name for name, on in flags.items() if on}

    @classmethod
    def _state_shape(
        cls, values: Mapping[str, Any], name: str, shape: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        if name in ("exp_avg", "exp_avg_sq"):
            return shape
        block: int = values["block_size"]
        total = sum(n // block * block**2 + (n % block) ** 2 for n in shape) if 0 not in shape else 0
        return (total,) if total else None
