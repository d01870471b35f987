"""Mini-batches: an iterator whose order is a function of (seed, epoch) and whose position can be saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks
from ._fixed import Fixed
from ._groups import Groups

__all__ = ["Batches", "batches"]

Array = NDArray[Any]


def batches(
    *arrays: Array,
    batch_size: int,
    epochs: int = 1,
    shuffle: bool = True,
    seed: int = 0,
    drop_last: bool = False,
    groups: ArrayLike | None = None,
) -> Batches:
    """Iterate over the rows of arrays in mini-batches, drawn anew in every epoch.

    The order of epoch e is a pure function of ``(seed, e)`` and the number of rows: it depends neither on
    what was drawn before nor on NumPy's global generator, and stays the same in every version of NumPy (it
    sorts raw PCG64 output, of which NumPy promises the stream).

    Without ``groups`` an epoch is the shuffled rows cut every ``batch_size`` rows; the last batch has the
    rest, or is left out with ``drop_last``. A ``batch_size`` above the number of rows gives one batch of all
    rows.

    With ``groups`` related rows stay together: the groups are shuffled as wholes and no group is ever split.
    A batch takes the next groups of the shuffled sequence as long as all their rows fit into ``batch_size``;
    the rows of a group are contiguous in it, in their order in the arrays. So batches have at most, not
    exactly, ``batch_size`` rows, and the number of batches may differ from epoch to epoch when groups differ
    in size.

    Parameters
    ----------
    *arrays : ndarray
        At least one; all with the same, non-zero length of the first axis (the rows).
    batch_size : int
        Rows per batch, at least 1.
    epochs : int, default 1
        Passes over the rows, at least 1.
    shuffle : bool, default True
        Whether to draw a new order in every epoch. Without, rows come in their order (groups in the order of
        their first rows).
    seed : int, default 0
        At least 0; what the orders are drawn from.
    drop_last : bool, default False
        Whether to leave out a last batch with fewer than ``batch_size`` rows. Not to be had with ``groups``,
        whose batches are rarely full.
    groups : array_like of integers, booleans or strings, optional
        The label of each row's group; the rows of a group need not be neighbours.

    Returns
    -------
    Batches
        An iterator of arrays if one array is given, else of tuples of arrays, one per array. Batches are
        copies where rows are shuffled, and views of the arrays where they are not and their rows are
        neighbours.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, such as a list in place of an array.
    ValueError
        If arrays differ in length, have no rows or no axis; if a number is out of range; if ``drop_last``
        leaves no batch; if a group is larger than ``batch_size``.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> for xb, yb in fastopt.batches(x, y, batch_size=2, shuffle=False):
    ...     print(xb.shape, yb)
    (2, 2) [0 1]
    (2, 2) [2 3]
    (1, 2) [4]
    >>> for yb in fastopt.batches(y, batch_size=3, shuffle=False, groups=["a", "b", "a", "b", "c"]):
    ...     print(yb)
    [0 2]
    [1 3 4]
    """
    return Batches(
        arrays,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=shuffle,
        seed=seed,
        drop_last=drop_last,
        groups=groups,
    )


class _Epoch(NamedTuple):
    """One epoch, decided: its rows in order (None: as they are) and where to cut them."""

    number: int
    order: NDArray[np.intp] | None
    cuts: NDArray[np.intp]


class Batches(Fixed):
    """The iterator that `batches` returns.

    It runs once. ``len()`` is the number of all its batches, not of those left (with groups of different
    sizes, counting them costs one draw of every epoch).

    Examples
    --------
    Stop after any batch and go on later, with the same batches as without the stop:

    >>> import numpy as np, fastopt
    >>> y = np.arange(6)
    >>> first = fastopt.batches(y, batch_size=2, epochs=2, seed=3)
    >>> _ = next(first)
    >>> state = first.state_dict()
    >>> second = fastopt.batches(y, batch_size=2, epochs=2, seed=3)
    >>> second.load_state_dict(state)
    >>> [b.tolist() for b in second] == [b.tolist() for b in first]
    True
    """

    def __init__(
        self,
        arrays: tuple[Array, ...],
        *,
        batch_size: int,
        epochs: int,
        shuffle: bool,
        seed: int,
        drop_last: bool,
        groups: ArrayLike | None,
    ) -> None:
        self._arrays = arrays
        self._rows = _rows(arrays)
        self._batch_size = _checks.integer("batch_size", batch_size, minimum=1)
        self._epochs = _checks.integer("epochs", epochs, minimum=1)
        self._shuffle = _checks.flag("shuffle", shuffle)
        self._seed = _checks.integer("seed", seed, minimum=0, maximum=None)
        self._drop_last = _checks.flag("drop_last", drop_last)
        self._groups = None if groups is None else Groups(groups, self._rows, self._batch_size)
        if self._drop_last and self._groups is not None:
            raise ValueError("drop_last: expected False with groups, whose batches are rarely full, got True")
        if self._drop_last and self._rows < self._batch_size:
            raise ValueError(
                f"batch_size: expected at most the {self._rows} rows with drop_last, got {self._batch_size}"
            )
        self._length: int | None = None
        # the epoch, and the number within it of the batch to come: replaced together
        self._position = (self._draw(0), 0)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        epoch, batch = self._position
        if batch == len(epoch.cuts) - 1:
            if epoch.number + 1 >= self._epochs:
                raise StopIteration
            epoch, batch = self._draw(epoch.number + 1), 0
        begin, end = epoch.cuts[batch : batch + 2].tolist()
        order = epoch.order
        taken = [a[begin:end] if order is None else a.take(order[begin:end], axis=0) for a in self._arrays]
        self._position = (epoch, batch + 1)
        return taken[0] if len(taken) == 1 else tuple(taken)

    def __len__(self) -> int:
        if self._length is None:
            if self._groups is None or not self._shuffle:
                self._length = self._epochs * self.steps_per_epoch
            else:
                self._length = sum(len(self._draw(e).cuts) - 1 for e in range(self._epochs))
        return self._length

    @property
    def epoch(self) -> int:
        """The epoch, from 0, of the batch handed out last; 0 before the first."""
        return self._position[0].number

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in the current epoch: the same in all, unless groups differ in size."""
        return len(self._position[0].cuts) - 1

    def _draw(self, epoch: int) -> _Epoch:
        if self._groups is not None:
            keys = _keys(self._seed, epoch, len(self._groups)) if self._shuffle else None
            return _Epoch(epoch, *self._groups.pack(keys))
        cuts = np.arange(0, self._rows + 1, self._batch_size)
        if cuts[-1] < self._rows and not self._drop_last:
            cuts = np.append(cuts, self._rows)
        order = np.argsort(_keys(self._seed, epoch, self._rows), kind="stable") if self._shuffle else None
        return _Epoch(epoch, order, cuts)

    def _identity(self) -> dict[str, Any]:
        """What two iterators must share for a position in one to mean the same in the other."""
        return {
            "rows": self._rows,
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "seed": self._seed,
            "drop_last": self._drop_last,
            "groups": None if self._groups is None else self._groups.digest(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the position as plain data for JSON.

        Returns
        -------
        dict
            ``epoch`` and ``batch`` (the number of batches of this epoch handed out), and what the position is
            valid for: ``rows``, ``batch_size``, ``shuffle``, ``seed``, ``drop_last``, ``groups`` (a digest).
            Not ``epochs``: a resumed run may be longer.
        """
        epoch, batch = self._position
        return {"epoch": epoch.number, "batch": batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a saved position: the next batch is the one that would have come next when it was saved.

        Parameters
        ----------
        state : dict
            From `state_dict` of an iterator over as many rows, with the same ``batch_size``, ``shuffle``,
            ``seed``, ``drop_last`` and ``groups``.

        Raises
        ------
        TypeError, ValueError
            If it is no such state, or one of another iterator, or beyond the end. The position is unchanged.
        """
        self._position = self._read(state)

    def _read(self, state: Any) -> tuple[_Epoch, int]:
        """The position that a state means here."""
        if not isinstance(state, dict):
            raise TypeError(f"state: expected a dict, got {_checks.shown(state)}")
        expected = self._identity()
        if state.keys() != expected.keys() | {"epoch", "batch"}:
            wanted = ", ".join(["epoch", "batch", *expected])
            raise ValueError(f"state: expected the keys {wanted}, got {', '.join(map(str, state))}")
        for key, value in expected.items():
            if type(state[key]) is not type(value) or state[key] != value:
                raise ValueError(f"state[{key!r}]: expected {value!r}, as here, got {state[key]!r}")
        epoch = _checks.integer("state['epoch']", state["epoch"], minimum=0, maximum=self._epochs - 1)
        drawn = self._draw(epoch)
        batch = _checks.integer("state['batch']", state["batch"], minimum=0, maximum=len(drawn.cuts) - 1)
        return drawn, batch


def _keys(seed: int, epoch: int, n: int) -> NDArray[np.uint64]:
    """Random numbers to sort by: a function of seed and epoch alone.

    Ties (probability below n^2 / 2^65) fall in the order of the rows.
    """
    generator = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(epoch,)))
    return generator.random_raw(n)


def _rows(arrays: tuple[Array, ...]) -> int:
    """The common length of the first axis."""
    if not arrays:
        raise TypeError("arrays: expected at least one array, got none")
    for i, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"arrays[{i}]: expected a NumPy array, got {_checks.shown(array)}")
        if array.ndim == 0:
            raise ValueError(f"arrays[{i}]: expected at least one axis, got a 0-d array")
        if len(array) != len(arrays[0]):
            raise ValueError(
                f"arrays[{i}]: expected {len(arrays[0])} rows, as arrays[0] has, got {len(array)}"
            )
    if not len(arrays[0]):
        raise ValueError(f"arrays[0]: expected at least one row, got shape {arrays[0].shape}")
    return len(arrays[0])
