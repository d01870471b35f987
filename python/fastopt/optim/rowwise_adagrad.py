"""Row-wise Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopt._hypers import epsilon, in_double, non_negative
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class RowWiseAdagrad(Optimizer):
    r"""Adagrad with one sum for each row of a table, for embeddings: one number of state a row.

    .. math::
        s_i &\leftarrow s_i + \frac{1}{n} \sum_{j=1}^{n} g_{ij}^2 \\
        \theta_{ij} &\leftarrow \theta_{ij}
        - \frac{lr}{1 + (t - 1)\,d} \, \frac{g_{ij}}{\sqrt{s_i} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`. Rows are those of the first axis and lie one behind the other, as in C's
        order; of an array of one axis each number is a row. Gradients are dense or `fastopt.SparseRows`.
    lr_decay : float, default 0
        :math:`d \ge 0`, which lowers all rates.
    weight_decay : float, default 0
        L2 penalty: ``weight_decay * theta`` is added to the gradient, before it is squared.
    initial_accumulator_value : float, default 0
        Where s starts, a number >= 0.
    eps : float, default 1e-10
        Added to the root. (FBGEMM: 1e-8.)
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    State: ``sum`` (s), of shape ``(rows,)``, in the type of computation whatever `state_dtype`. A NaN in a
    gradient spoils its row. Sources: Mudigere et al. 2022 (arXiv:2104.05158); FBGEMM's
    ``EXACT_ROWWISE_ADAGRAD``, whose numbers these are.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.ones((3, 2))
    >>> opt = fastopt.RowWiseAdagrad([table], lr=0.1)
    >>> opt.step([fastopt.SparseRows(np.array([1]), np.array([[3.0, 4.0]]))])
    >>> table.round(4)
    array([[1.    , 1.    ],
           [0.9151, 0.8869],
           [1.    , 1.    ]])
    >>> opt.state[0]["sum"]
    array([ 0. , 12.5,  0. ])
    """

    rule = Rule("rowwise_adagrad", comparison_lr=0.1, squares=True)
    _hypers = {
        "lr_decay": in_double(non_negative()),
        "initial_accumulator_value": non_negative()._replace(
            native=lambda name, value: {}, fixed=True, starts=True
        ),
        "eps": epsilon(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            **common,
        )

    @classmethod
    def _starts(cls, values: Mapping[str, Any]) -> Mapping[str, float | None]:
        return {"sum": values["initial_accumulator_value"]}
