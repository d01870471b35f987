"""The complex step: a derivative without cancellation, for functions written in analytic operations only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import shown
from fastopt.curvature._judge import Finding, Place, judge
from fastopt.curvature._slope import Slope
from fastopt.functions.counted import Objective

__all__ = ["complex_slope"]

Array = NDArray[Any]

#: Its square is lost beside anything, in float32 too.
STEP = 1e-20


def complex_slope(f: Objective, flat: Array, u: Array, finding: Finding, floor: float, tol: float) -> Finding:
    r"""`finding` again, with :math:`\operatorname{Im} f(x + ihu) / h` in place of the differences.

    Raises ValueError if the two disagree beyond the uncertainty of the differences: f is not analytic.
    Source: Squire and Trapp, SIAM Review 40 (1998).
    """
    kind = np.complex64 if flat.dtype == np.float32 else np.complex128
    f.calls += 1
    value = f.function(_structured(f, flat.astype(kind) + (1j * STEP * u).astype(kind)))
    result = np.asarray(value)
    if result.size != 1 or result.dtype.kind != "c":
        raise TypeError(f"f: expected a complex number for complex x (complex_step), got {shown(value)}")
    slope = float(result.reshape(()).imag) / STEP
    if not abs(slope - finding.found) <= finding.uncertainty + 1e-6 * max(abs(slope), abs(finding.found)):
        raise ValueError(
            f"complex_step: expected an analytic f, got {slope:.10g} along {finding.where} where differences "
            f"give {finding.found:.10g} +- {finding.uncertainty:.1g}"
        )
    error = 32.0 * f.eps * abs(slope)
    place = Place(*finding[:5])
    return judge(place, finding.claimed, Slope(slope, error, (slope, slope), None, False), floor, tol)


def _structured(f: Objective, flat: Array) -> Any:
    """As ``Layout.structured``, in complex arrays."""
    layout = f.layout
    arrays = [
        flat[part].reshape(shape) for part, shape in zip(layout.slices().values(), layout.shapes, strict=True)
    ]
    if layout.kind is np.ndarray:
        return arrays[0]
    if layout.keys is not None:
        return dict(zip(layout.keys, arrays, strict=True))
    return tuple(arrays) if layout.kind is tuple else arrays
