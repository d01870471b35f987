"""Symmetric eigenproblems, dense and matrix-free."""

from fastopt._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
