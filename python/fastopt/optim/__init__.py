"""The optimizers, one class in each file."""

from fastopt._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
