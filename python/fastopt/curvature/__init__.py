"""What kind of point is this? Gradient checks, Hessians, critical points, escape from saddles, spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastopt.curvature._bridge import Bridge
    from fastopt.curvature._check_grad import check_grad
    from fastopt.curvature._critical_point import critical_point
    from fastopt.curvature._escape import EscapeResult, escape
    from fastopt.curvature._from_jax import from_jax
    from fastopt.curvature._from_torch import TorchBridge, from_torch
    from fastopt.curvature._hessian import Hessian, hessian
    from fastopt.curvature._hvp import HessianVectorProduct, hvp
    from fastopt.curvature._judge import Finding
    from fastopt.curvature._point import CriticalPoint
    from fastopt.curvature._report import GradientReport
    from fastopt.curvature._stall_report import StallReport
    from fastopt.curvature._why_stalled import why_stalled

#: Imported at first use: name -> module of this package.
_LAZY: dict[str, str] = {
    "Bridge": "_bridge",
    "CriticalPoint": "_point",
    "EscapeResult": "_escape",
    "Finding": "_judge",
    "GradientReport": "_report",
    "Hessian": "_hessian",
    "HessianVectorProduct": "_hvp",
    "StallReport": "_stall_report",
    "TorchBridge": "_from_torch",
    "check_grad": "_check_grad",
    "critical_point": "_critical_point",
    "escape": "_escape",
    "from_jax": "_from_jax",
    "from_torch": "_from_torch",
    "hessian": "_hessian",
    "hvp": "_hvp",
    "why_stalled": "_why_stalled",
}

__all__ = [
    "Bridge",
    "CriticalPoint",
    "EscapeResult",
    "Finding",
    "GradientReport",
    "Hessian",
    "HessianVectorProduct",
    "StallReport",
    "TorchBridge",
    "check_grad",
    "critical_point",
    "escape",
    "from_jax",
    "from_torch",
    "hessian",
    "hvp",
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
