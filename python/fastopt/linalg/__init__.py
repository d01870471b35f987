"""Symmetric eigenproblems, dense and matrix-free."""

from __future__ import annotations

from fastopt.linalg._eigh import EighResult, eigh, eigvalsh
from fastopt.linalg._eigsh import EigshNoConvergence, EigshResult, eigsh
from fastopt.linalg._inertia import Inertia, inertia

__all__ = [
    "EighResult",
    "EigshNoConvergence",
    "EigshResult",
    "Inertia",
    "eigh",
    "eigsh",
    "eigvalsh",
    "inertia",
]
