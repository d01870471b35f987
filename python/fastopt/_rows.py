"""Gradients of a few rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown

__all__ = ["SparseRows"]


class SparseRows:
    """A gradient that is zero but for some rows of its parameter, such as an embedding's.

    `Optimizer.step` takes it in a gradient's place, for a parameter of shape ``(rows, ...)`` in C's order of
    memory. What it costs grows with the rows given, not with those of the table: rows without a gradient are
    neither read nor written.

    Parameters
    ----------
    indices : ndarray of int64 or int32, shape (n,)
        Which rows, in any order; a row that is given several times gets the sum.
    values : ndarray, shape (n, ...)
        Their gradients, of a dtype that the parameter takes, in any strides. Read only.

    Notes
    -----
    An update is lazy: rows that are not given stay as they are, to the last bit, and so do their states.
    Momentum does not move them, averages do not decay, neither do weights (`weight_decay`, `l1` and
    `l1_proximal` act on the rows given). A row that is given is updated by its rule's formula as any element,
    with the count of steps of the whole table, as in ``torch.optim.SparseAdam`` and FBGEMM: corrections for
    averages that began at zero are those of step t also for a row that is met for the first time. `Adam`,
    `AdamW` and `RowWiseAdam` count the steps of each row with ``row_steps=True``. `RowWiseAdagrad` and
    `RowWiseAdam` keep one second moment for a row.

    Rows given several times are summed before anything else happens, in the order in which they were given
    (beyond 512 of them in parts of 512), in the type of computation: the same bits for every number of
    threads. Then come the options of the optimizer, such as `clip_norm`, of which the norm is that of the
    sums. An `ema_decay` moves the averages of all rows, which costs a pass over the table. Before the first
    step of a table its states are filled, once.

    States in eight bits have a scale for 64 elements, so a row must be a multiple of 64 of them; other tables
    of 4096 elements and more are refused then. ``zero_grads=True`` is refused.

    Rules that need sums over whole parameters refuse it (LARS, LAMB, StableAdamW, MARS, Prodigy), and rules
    of whole matrices (Adafactor, Kron, Muon, Shampoo, SOAP). So do ASGD and the Schedule-Free classes, whose
    averages move where parameters stay, and rules that begin with the first gradient of every element: Adan,
    ADOPT, and ``initial_accumulator_value="gradient"``.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> table = np.ones((4, 2))
    >>> opt = fastopt.SGD([table], lr=0.5)
    >>> opt.step([fastopt.SparseRows(np.array([3, 1, 3]), np.ones((3, 2)))])
    >>> table
    array([[1. , 1. ],
           [0.5, 0.5],
           [1. , 1. ],
           [0. , 0. ]])
    """

    __slots__ = ("indices", "values")

    indices: NDArray[Any]
    values: NDArray[Any]

    def __init__(self, indices: NDArray[Any], values: NDArray[Any]) -> None:
        for name, array in (("indices", indices), ("values", values)):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name}: expected an array, got {shown(array)}")
        if indices.dtype not in (np.int64, np.int32):
            raise TypeError(f"indices: expected int64 or int32, got {shown(indices)}")
        if indices.ndim != 1:
            raise ValueError(f"indices: expected one axis, got {shown(indices)}")
        if values.shape[:1] != indices.shape:
            raise ValueError(f"values: expected {len(indices)} rows, one for each index, got {shown(values)}")
        self.indices = indices
        self.values = values

    def __repr__(self) -> str:
        return f"SparseRows(indices={self.indices!r}, values={self.values!r})"
