"""Kron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fastopt._checks import integer, word
from fastopt._hypers import Hyper, boolean, optional, positive, switch, unit
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule

_DIAGONAL = ("one_diag", "smart_one_diag", "all_diag")


def _whole(name: str, value: Any) -> int:
    return integer(name, value, minimum=0)


def _mode(name: str, value: Any) -> str | None:
    wanted = f"{', '.join(map(repr, _DIAGONAL))} or None"
    return None if value is None else word(name, value, _DIAGONAL, wanted)


def _mode_number(name: str, value: Any) -> dict[str, float]:
    return {name: 0.0 if value is None else 1.0 + _DIAGONAL.index(value)}


class Kron(Optimizer):
    r"""Kron: PSGD with a preconditioner of Kronecker factors that whitens the gradient.

    For a matrix G of gradients (and likewise with a factor for each side of a tensor):

    .. math::
        M &\leftarrow \mu M + (1 - \mu)\, G, \qquad \hat M = M / (1 - \mu^t) \\
        A &= Q_1 \hat M Q_2^T, \qquad B = Q_1^{-T} V Q_2^{-1}, \qquad V \sim N(0, 1) \\
        Q_1 &\leftarrow Q_1 - \rho\, \frac{\mathrm{triu}(A A^T - B B^T)}{\|A A^T + B B^T\|}\, Q_1, \qquad
        Q_2 \leftarrow Q_2 - \rho\, \frac{\mathrm{triu}(A^T A - B^T B)}{\|A^T A + B^T B\|}\, Q_2 \\
        X &= Q_1^T Q_1\, \hat M\, Q_2^T Q_2, \qquad
        \theta \leftarrow \theta - lr\, \min\!\left(1, \frac{1.1}{\mathrm{rms}(X) + 10^{-6}}\right) X

    from :math:`Q = I`. The factors Q are upper triangular, or diagonal; the norm is a lower bound of the
    2-norm. No product needs an eigenvector or a root.

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`.
    momentum : float, default 0.9
        :math:`\mu`, in [0, 1).
    weight_decay : float, default 0
        Decoupled, of all parameters; with ``decoupled_weight_decay=False`` an L2 penalty.
    preconditioner_update_probability : float, optional
        Share of the steps that update Q, in [0, 1]: every second one with 0.5. By default all of a
        parameter's first 500, then :math:`e^{-0.001 (t - 501)}` of them, at least 0.03. May be assigned
        between steps.
    max_size_triangular : int, default 8192
        Longer sides have a diagonal factor.
    min_ndim_triangular : int, default 2
        Arrays of fewer axes have diagonal factors only.
    memory_save_mode : {"one_diag", "smart_one_diag", "all_diag"}, optional
        Which other factors are diagonal: that of the longest side (the last of equals); that of the longest
        side if it is longer than all others; all.
    momentum_into_precond_update : bool, default True
        Whether Q learns from :math:`\hat M`, else from G.
    precond_lr : float, default 0.1
        :math:`\rho`, in [0, 1).
    precond_init_scale : float, default 1
        What Q begins with as a whole, times the identity; > 0.
    balance_prob : float, default 0.01
        Probability, in [0, 1], that a step that updates Q first gives all factors of a tensor the same
        largest element. Their product stays.
    decoupled_weight_decay : bool, default True
        Choose the kind of `weight_decay`.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``momentum_buffer`` (with `momentum`), ``Q``: the factors of all sides, squares in C order or
    diagonals, one behind the other; ``update_counter``, steps since the last update of Q. V depends on
    `seed`, the parameter's position and step and the element alone. The same bits come out with any number
    of threads, but CPU levels agree to rounding only.

    Sides of one element, and arrays without axes, have a diagonal factor of one number. Where gradients stay
    0, Q grows until P = Q'Q takes gradients of 1e-38 (in float64 1e-151) to 1, and no further. A gradient
    that is not finite makes Q, and all that follows, NaN.

    Source: Li 2018 (arXiv:1512.04202), Pooladzandi & Li 2024 (arXiv:2402.04553), as `kron_torch` by E.
    Walters computes it, which exempts arrays of less than two axes from decay.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> w = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> opt = fastopt.Kron([w], lr=0.1)
    >>> for _ in range(20):
    ...     opt.step([2 * w])
    >>> float(np.abs(w).max()) < 1.5
    True
    >>> opt.state[w]["Q"].shape  # two triangles, in squares
    (8,)
    """

    rule = Rule(
        "kron",
        comparison_lr=1e-2,
        weight_decay="decoupled",
        norms="update",
        momentum="average",
        matrix=True,
        draws=True,
    )
    _hypers = {
        "momentum": unit(),
        "preconditioner_update_probability": optional(unit(closed=True), -1.0),
        "max_size_triangular": Hyper(_whole, fixed=True),
        "min_ndim_triangular": Hyper(_whole, fixed=True),
        "memory_save_mode": Hyper(_mode, _mode_number, fixed=True),
        "momentum_into_precond_update": switch(),
        "precond_lr": unit(),
        "precond_init_scale": positive()._replace(starts=True, guards=True),
        "balance_prob": unit(closed=True),
        "decoupled_weight_decay": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        preconditioner_update_probability: float | None = None,
        max_size_triangular: int = 8192,
        min_ndim_triangular: int = 2,
        memory_save_mode: Literal["one_diag", "smart_one_diag", "all_diag"] | None = None,
        momentum_into_precond_update: bool = True,
        precond_lr: float = 0.1,
        precond_init_scale: float = 1.0,
        balance_prob: float = 0.01,
        decoupled_weight_decay: bool = True,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            weight_decay=weight_decay,
            preconditioner_update_probability=preconditioner_update_probability,
            max_size_triangular=max_size_triangular,
            min_ndim_triangular=min_ndim_triangular,
            memory_save_mode=memory_save_mode,
            momentum_into_precond_update=momentum_into_precond_update,
            precond_lr=precond_lr,
            precond_init_scale=precond_init_scale,
            balance_prob=balance_prob,
            decoupled_weight_decay=decoupled_weight_decay,
            **common,
        )

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        return super()._flags(values) | ({"momentum"} if values["momentum"] > 0 else set())

    @classmethod
    def _state_shape(
        cls, values: Mapping[str, Any], name: str, shape: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        if name == "momentum_buffer":
            return shape
        if 0 in shape:
            return None
        sides = shape or (1,)
        square = [side > 1 and side <= values["max_size_triangular"] for side in sides]
        last = max(range(len(sides)), key=lambda i: (sides[i], i))
        alone = len(shape) > 1 and sides.count(sides[last]) == 1
        mode = values["memory_save_mode"]
        if mode == "one_diag" or (mode == "smart_one_diag" and alone):
            square[last] = False
        if mode == "all_diag" or len(shape) < values["min_ndim_triangular"]:
            square = [False] * len(sides)
        return (sum(n * n if of else n for n, of in zip(sides, square, strict=True)),)
