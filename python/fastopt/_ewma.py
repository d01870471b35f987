"""Exponentially weighted moving averages: of a whole sequence, and one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate, islice, repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _checks
from ._fixed import Fixed

__all__ = ["EWMA", "ewma"]

#: With at most this many sequences side by side, a loop over Python floats is quicker than one over NumPy
#: rows.
FEW = 4


def ewma(
    x: ArrayLike,
    beta: float = 0.9,
    *,
    axis: int = 0,
    bias_correction: bool | None = None,
    initial: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Exponentially weighted moving average of a sequence, with bias correction.

    ``v_t = beta v_{t-1} + (1 - beta) x_t`` for t = 1, 2, ..., with ``v_0 = 0``; the result is
    ``v_t / (1 - beta ** t)``. It remembers about ``1 / (1 - beta)`` samples: the last so many carry 63 % of
    the weight. An average that starts at 0 is too small at first, by the factor ``1 - beta ** t``, the sum of
    the weights so far; dividing by it corrects that. Only the result is corrected, never the v that the next
    sample meets.

    Parameters
    ----------
    x : array_like, any shape with at least one axis
        Samples: booleans, integers or real numbers.
    beta : float, default 0.9
        The share that the past keeps, in [0, 1).
    axis : int, default 0
        The axis that is time; the averages along the others are independent.
    bias_correction : bool, optional
        Whether to divide by ``1 - beta ** t``. By default yes, unless ``initial`` is given.
    initial : array_like, optional
        ``v_0``, broadcast to the shape of one sample. The weights of ``initial`` and the samples then sum to
        1, so there is no bias to correct, and ``bias_correction=True`` is refused.

    Returns
    -------
    ndarray of float64, the shape of x
        The average after each sample, computed in float64 whatever the dtype of ``x``. A NaN or infinite
        sample makes every later average of its sequence NaN or infinite.

    Raises
    ------
    TypeError
        If ``x`` is not real, or an argument is of the wrong type.
    ValueError
        If ``beta`` is outside [0, 1), ``x`` has no axis, or ``initial`` does not fit.

    See Also
    --------
    EWMA : the same, bit for bit, one sample at a time.

    References
    ----------
    D. P. Kingma, J. Ba: Adam: A Method for Stochastic Optimization. ICLR 2015, arXiv:1412.6980, section 3.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.ewma([2.0, 2.0, 5.0], beta=0.5).round(4)
    array([2.    , 2.    , 3.7143])
    >>> fastopt.ewma([2.0, 2.0, 5.0], beta=0.5, bias_correction=False)
    array([1.  , 1.5 , 3.25])
    """
    beta = _checks.real("beta", beta, minimum=0.0, maximum=1.0, open_high=True)
    samples = np.asarray(x)
    if samples.dtype.kind not in "biuf" and samples.dtype.name != "bfloat16":
        raise TypeError(f"x: expected real numbers, got dtype {samples.dtype}")
    if samples.ndim == 0:
        raise ValueError("x: expected at least one axis, got a 0-d array")
    axis = _checks.integer("axis", axis, minimum=-samples.ndim, maximum=samples.ndim - 1)
    correct = _corrects(bias_correction, initial)
    out = np.moveaxis(samples.astype(np.float64), axis, 0)  # a copy, to be overwritten from front to back
    start = _start(initial, out.shape[1:])
    if 0 < start.size <= FEW:
        for at in np.ndindex(start.shape):
            along_time = (slice(None), *at)
            sequence = out[along_time]
            values = _averages(sequence.tolist(), float(start[at]), beta)
            sequence[:] = np.fromiter(values, np.float64, len(sequence))
    else:
        _average_rows(out, start, beta)
    if correct:
        ones = np.fromiter(_averages(repeat(1.0, len(out)), 0.0, beta), np.float64, len(out))
        out /= ones.reshape(-1, *[1] * (out.ndim - 1))
    return np.moveaxis(out, 0, axis)


class EWMA(Fixed):
    """Exponentially weighted moving average of numbers that come one at a time, for progress lines.

    The same recurrence and the same bits as `ewma`, with two floats of memory.

    Parameters
    ----------
    beta : float, default 0.9
        The share that the past keeps, in [0, 1); about ``1 / (1 - beta)`` samples are remembered.
    bias_correction : bool, optional
        Whether to divide by ``1 - beta ** t``. By default yes, unless ``initial`` is given.
    initial : float, optional
        ``v_0``; without it the average starts at 0.

    Attributes
    ----------
    value : float
        The average so far. Before the first sample: ``initial``, or NaN without one.
    count : int
        The number of samples so far.

    Examples
    --------
    >>> import fastopt
    >>> loss = fastopt.EWMA(beta=0.5)
    >>> [round(loss.update(x), 4) for x in (2.0, 2.0, 5.0)]
    [2.0, 2.0, 3.7143]
    >>> loss.count
    3
    """

    def __init__(
        self, beta: float = 0.9, *, bias_correction: bool | None = None, initial: float | None = None
    ) -> None:
        self._beta = _checks.real("beta", beta, minimum=0.0, maximum=1.0, open_high=True)
        self._corrects = _corrects(bias_correction, initial)
        self._initial = None if initial is None else _checks.real("initial", initial)
        # average, the same recurrence fed with ones, number of samples: replaced together
        self._so_far = (0.0 if self._initial is None else self._initial, 0.0, 0)

    def update(self, x: float) -> float:
        """Take the next sample and return the average including it.

        Parameters
        ----------
        x : float
            The sample; a 0-d array will do. NaN and infinity are taken as they come.

        Returns
        -------
        float
            The new `value`.
        """
        sample = _checks.sample("x", x)
        average, ones, count = self._so_far
        self._so_far = _next(average, sample, self._beta), _next(ones, 1.0, self._beta), count + 1
        return self.value

    @property
    def beta(self) -> float:
        """The share of the past, as it was given."""
        return self._beta

    @property
    def count(self) -> int:
        """The number of samples so far."""
        return self._so_far[2]

    @property
    def value(self) -> float:
        """The average so far."""
        average, ones, count = self._so_far
        if not count:
            return math.nan if self._initial is None else self._initial
        return average / ones if self._corrects else average

    def state_dict(self) -> dict[str, Any]:
        """Return the average as plain data: with `load_state_dict` another goes on from here, bit for bit.

        Returns
        -------
        dict
            ``average`` and ``weights`` (the recurrence, fed with the samples and with ones), ``count``, and
            what they are valid for: ``beta``, ``bias_correction``, ``initial``.
        """
        average, ones, count = self._so_far
        return {"average": average, "weights": ones, "count": count, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved average.

        Parameters
        ----------
        state : dict
            From `state_dict` of an average with the same ``beta``, ``bias_correction`` and ``initial``.

        Raises
        ------
        TypeError, ValueError
            If it is no such state, or one of another average. Nothing has changed.
        """
        self._so_far = self._read(state)

    def _identity(self) -> dict[str, Any]:
        return {"beta": self._beta, "bias_correction": self._corrects, "initial": self._initial}

    def _read(self, state: Any) -> tuple[float, float, int]:
        """The average that a state means here."""
        if not isinstance(state, dict):
            raise TypeError(f"state: expected a dict, got {_checks.shown(state)}")
        expected = self._identity()
        if state.keys() != expected.keys() | {"average", "weights", "count"}:
            wanted = ", ".join(["average", "weights", "count", *expected])
            raise ValueError(f"state: expected the keys {wanted}, got {', '.join(map(str, state))}")
        for key, value in expected.items():
            if type(state[key]) is not type(value) or state[key] != value:
                raise ValueError(f"state[{key!r}]: expected {value!r}, as here, got {state[key]!r}")
        if type(state["average"]) is not float:  # NaN and infinity are results too
            raise TypeError(f"state['average']: expected a float, got {_checks.shown(state['average'])}")
        weights = _checks.real("state['weights']", state["weights"], minimum=0.0, maximum=1.0)
        return state["average"], weights, _checks.integer("state['count']", state["count"], minimum=0)

    def __repr__(self) -> str:
        return f"<fastopt.EWMA beta={self.beta}: {self.value:g} after {self.count} samples>"


def _next(average: float, sample: float, beta: float) -> float:
    """The recurrence. From 0, fed with ones, it gives 1 - beta ** t without that formula's cancellation."""
    return beta * average + (1.0 - beta) * sample


def _averages(samples: Iterable[float], start: float, beta: float) -> Iterator[float]:
    return islice(accumulate(samples, partial(_next, beta=beta), initial=start), 1, None)


def _average_rows(rows: NDArray[np.float64], start: NDArray[np.float64], beta: float) -> None:
    """`_next` in place, a row of samples at a time."""
    previous = start
    with np.errstate(invalid="ignore", over="ignore"):  # infinite samples are the caller's to interpret
        for row in rows:
            row *= 1.0 - beta
            row += beta * previous
            previous = row


def _corrects(bias_correction: bool | None, initial: object) -> bool:
    if bias_correction is None:
        return initial is None
    if _checks.flag("bias_correction", bias_correction) and initial is not None:
        raise ValueError(
            "bias_correction: expected False or None beside initial, got True: no bias to correct"
        )
    return bool(bias_correction)


def _start(initial: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    if initial is None:
        return np.zeros(shape)
    start = np.asarray(initial)
    if start.dtype.kind not in "biuf":
        raise TypeError(f"initial: expected real numbers, got dtype {start.dtype}")
    try:
        return np.broadcast_to(start.astype(np.float64), shape)
    except ValueError:
        raise ValueError(
            f"initial: expected a shape that broadcasts to {shape}, got shape {start.shape}"
        ) from None
