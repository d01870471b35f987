"""Symmetric eigenproblems, dense and matrix-free."""

from __future__ import annotations

from fastopt.linalg._eigh import EighResult, eigh, eigvalsh

__all__ = ["EighResult", "eigh", "eigvalsh"]
