"""Row-wise Adam."""

from __future__ import annotations

from fastopt._hypers import boolean, epsilon, pair
from fastopt._signature import Common, Lr, Params, Unpack
from fastopt.optimizer import Optimizer
from fastopt.rule import Rule


class RowWiseAdam(Optimizer):
    r"""Adam with one second moment for each row of a table, and decoupled weight decay, for embeddings.

    .. math::
        m_{ij} &\leftarrow \beta_1 m_{ij} + (1 - \beta_1) g_{ij}, \qquad
        v_i \leftarrow \beta_2 v_i + (1 - \beta_2) \frac{1}{n} \sum_{j=1}^{n} g_{ij}^2 \\
        \theta_{ij} &\leftarrow (1 - lr\,\lambda) \theta_{ij}
        - lr \, \frac{m_{ij} / (1 - \beta_1^t)}{\sqrt{v_i / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params, lr
        See `fastopt.Optimizer`. Rows are those of the first axis and lie one behind the other, as in C's
        order; of an array of one axis each number is a row. Gradients are dense or `fastopt.SparseRows`.
    betas : (float, float), default (0.9, 0.999)
        Decay of the two averages, in [0, 1).
    eps : float, default 1e-8
        Added to the corrected root.
    weight_decay : float, default 0
        :math:`\lambda`; of rows without a gradient nothing decays.
    row_steps : bool, default False
        Let t be the number of the row's own steps and not of the table's: a row that is met late then begins
        with a step of lr, and not of 3 lr. See `fastopt.SparseRows`.
    **common
        The keywords that every optimizer takes, such as `l1`, `clip_norm` and `ema_decay`: see
        `fastopt.Optimizer`.

    Notes
    -----
    States: ``exp_avg`` (m), and in the type of computation, of shape ``(rows,)``: ``exp_avg_sq`` (v), with
    `row_steps` ``row_steps``. A NaN in a gradient spoils its row. Source: FBGEMM's ``PARTIAL_ROWWISE_ADAM``.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.ones((3, 2))
    >>> opt = fastopt.RowWiseAdam([table], lr=0.1)
    >>> opt.step([fastopt.SparseRows(np.array([1]), np.array([[3.0, 4.0]]))])
    >>> table.round(4)
    array([[1.    , 1.    ],
           [0.9151, 0.8869],
           [1.    , 1.    ]])
    """

    rule = Rule("rowwise_adam", comparison_lr=5e-3, weight_decay="decoupled", squares=True)
    _hypers = {
        "betas": pair("beta1", "beta2"),
        "eps": epsilon(),
        "row_steps": boolean(),
    }

    def __init__(
        self,
        params: Params,
        lr: Lr = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        row_steps: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(
            params, lr, betas=betas, eps=eps, weight_decay=weight_decay, row_steps=row_steps, **common
        )
