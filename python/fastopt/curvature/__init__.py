"""What kind of point is this? Gradient checks, Hessians, critical points, escape from saddles, spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastopt.curvature._bridge import Bridge
    from fastopt.curvature._check_grad import check_grad
    from fastopt.curvature._critical_point import critical_point
    from fastopt.curvature._density import SpectralDensity
    from fastopt.curvature._escape import EscapeResult, escape
    from fastopt.curvature._from_jax import from_jax
    from fastopt.curvature._from_torch import TorchBridge, from_torch
    from fastopt.curvature._gradient_report import Finding, GradientReport
    from fastopt.curvature._hessian import Hessian, hessian
    from fastopt.curvature._hvp import HessianVectorProduct, hvp
    from fastopt.curvature._operators import block, blocks, gauss_newton
    from fastopt.curvature._point import CriticalPoint
    from fastopt.curvature._spectral_density import spectral_density
    from fastopt.curvature._trace import DiagonalEstimate, TraceEstimate, diagonal, trace
    from fastopt.curvature._why_stalled import StallReport, why_stalled

#: Imported at first use: name -> module of this package.
_LAZY: dict[str, str] = {
    "Bridge": "_bridge",
    "CriticalPoint": "_point",
    "DiagonalEstimate": "_trace",
    "EscapeResult": "_escape",
    "Finding": "_gradient_report",
    "GradientReport": "_gradient_report",
    "Hessian": "_hessian",
    "HessianVectorProduct": "_hvp",
    "SpectralDensity": "_density",
    "StallReport": "_why_stalled",
    "TorchBridge": "_from_torch",
    "TraceEstimate": "_trace",
    "block": "_operators",
    "blocks": "_operators",
    "check_grad": "_check_grad",
    "critical_point": "_critical_point",
    "diagonal": "_trace",
    "escape": "_escape",
    "from_jax": "_from_jax",
    "from_torch": "_from_torch",
    "gauss_newton": "_operators",
    "hessian": "_hessian",
    "hvp": "_hvp",
    "spectral_density": "_spectral_density",
    "trace": "_trace",
    "why_stalled": "_why_stalled",
}

__all__ = [
    "Bridge",
    "CriticalPoint",
    "DiagonalEstimate",
    "EscapeResult",
    "Finding",
    "GradientReport",
    "Hessian",
    "HessianVectorProduct",
    "SpectralDensity",
    "StallReport",
    "TorchBridge",
    "TraceEstimate",
    "block",
    "blocks",
    "check_grad",
    "critical_point",
    "diagonal",
    "escape",
    "from_jax",
    "from_torch",
    "gauss_newton",
    "hessian",
    "hvp",
    "spectral_density",
    "trace",
    "why_stalled",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module 'fastopt.curvature' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastopt.curvature.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
