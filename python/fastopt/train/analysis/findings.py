"""What an analysis has found, JSON-able."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

#: (what is being computed, steps done, steps in all or 0 if nobody knows)
Tick = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Layer:
    """The trace of one layer's diagonal block of the Hessian; `deviation` is 0 where it is exact."""

    name: str
    n: int
    trace: float
    deviation: float


@dataclass(frozen=True)
class Density:
    """Eigenvalues per unit of length over the eigenvalues `at`, with a band where it is estimated."""

    at: list[float]
    density: list[float]
    low: list[float] | None
    high: list[float] | None


@dataclass(frozen=True)
class Analysis:
    """The curvature of one trained model's loss; `text` is the verdict as a person reads it."""

    label: str
    loss: float
    about: str
    """Which loss: rows, statistics, penalty."""
    method: str
    """"dense" (the whole Hessian) or "Lanczos" (products with it alone)."""
    n: int
    kind: str
    text: str
    n_negative: int
    n_unresolved: int
    n_positive: int
    min_ratio: tuple[float, float]
    """Share of positive eigenvalues: from the whole Hessian, or bounded by the spectral density."""
    min_ratio_beyond: tuple[float, float]
    """The same among eigenvalues beyond a share, `beyond`, of the largest in magnitude."""
    beyond: float
    tolerance: float
    gradient_norm: float | None
    smallest: list[float]
    largest: list[float]
    density: Density
    layers: list[Layer]
    products: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `seconds` apart, the same for every run of the same settings."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "label"}
        shown["density"] = vars(self.density).copy()
        shown["layers"] = [vars(layer).copy() for layer in self.layers]
        return shown
