"""What kind of point is this? Gradient checks, Hessians, critical points, escape from saddles, spectra."""

from fastopt._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
