"""Symmetric eigenproblems, dense and matrix-free."""

from __future__ import annotations

from fastopt.linalg._eigh import EighResult, eigh, eigvalsh
from fastopt.linalg._eigsh import EigshNoConvergence, EigshResult, eigsh

__all__ = ["EighResult", "EigshNoConvergence", "EigshResult", "eigh", "eigsh", "eigvalsh"]
