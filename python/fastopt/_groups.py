"""Rows in groups that no batch may split: which rows belong together, and how groups fill batches."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Groups"]

Indices = NDArray[np.intp]


class Groups:
    """Groups of rows by label, in the order of their first rows.

    Parameters
    ----------
    labels : array_like of integers, booleans or strings, of length `rows`
    rows : int
        The number of rows that need a label.
    batch_size : int
        What no group may exceed, and no batch.
    """

    def __init__(self, labels: ArrayLike, rows: int, batch_size: int) -> None:
        array = np.asarray(labels)
        if array.dtype.kind not in "biuSU":
            # Floats are refused for NaN, which is not itself; objects because sorting them runs foreign code.
            raise TypeError(f"groups: expected integers, booleans or strings, got dtype {array.dtype}")
        if array.shape != (rows,):
            raise ValueError(f"groups: expected one label per row, shape ({rows},), got shape {array.shape}")
        _, first, group, sizes = np.unique(array, return_index=True, return_inverse=True, return_counts=True)
        if sizes.max() > batch_size:
            largest = sizes.argmax()
            raise ValueError(
                f"batch_size: expected at least {sizes[largest]}, the rows of group "
                f"{array[first[largest]]!r}, got {batch_size}"
            )
        self._batch_size = batch_size
        by_first_row = np.argsort(first)
        rank = np.argsort(by_first_row)
        #: The rows, group after group; stable, so that rows of a group keep their order.
        self._members: Indices = np.argsort(rank[group.reshape(rows)], kind="stable")
        self._sizes: Indices = sizes[by_first_row]
        self._in_place = bool((self._members == np.arange(rows)).all())

    def __len__(self) -> int:
        return len(self._sizes)

    def pack(self, keys: NDArray[np.uint64] | None) -> tuple[Indices | None, Indices]:
        """Return the rows in the order of their groups' keys (None: as they are) and the cuts."""
        if keys is None:
            return (None if self._in_place else self._members), self._cuts(self._sizes)
        order = np.argsort(keys, kind="stable")
        sizes = self._sizes[order]
        starts = (np.cumsum(self._sizes) - self._sizes)[order]
        # Row i of the new order is row i of its group, counted from where that group starts in _members.
        shift = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return self._members[shift + np.arange(len(shift))], self._cuts(sizes)

    def _cuts(self, sizes: Indices) -> Indices:
        ends = np.cumsum(sizes)
        cuts = [0]
        while cuts[-1] < ends[-1]:
            fitting = int(np.searchsorted(ends, cuts[-1] + self._batch_size, side="right"))
            cuts.append(int(ends[fitting - 1]))
        return np.array(cuts)

    def digest(self) -> str:
        """A fingerprint of which rows belong together, whatever the labels are called."""
        content = np.concatenate([self._sizes, self._members]).astype("<i8")
        return hashlib.sha256(content.tobytes()).hexdigest()
