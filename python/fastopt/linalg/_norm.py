"""The 2-norm of a matrix, as an estimate needs it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.linalg._eigh import eigvalsh


def spectral_norm(a: NDArray[Any]) -> float:
    """||A||_2 of k <= n rows to three digits, from the largest eigenvalue of A A'; not finite where A is not.

    >>> import numpy as np
    >>> from fastopt.linalg._norm import spectral_norm
    >>> round(spectral_norm(np.array([[3.0, 4.0]])), 2), spectral_norm(np.zeros((2, 2)))
    (5.0, 0.0)
    """
    largest = float(np.max(np.abs(a)))
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    scaled = (a / largest).astype(np.float32)  # half the time, and an estimate needs no more digits
    return largest * float(np.sqrt(eigvalsh(scaled @ scaled.T)[-1]))
