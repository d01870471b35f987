"""The curvature of a model's training loss: analysed when training is over, and read on its way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import fastopt
from fastopt.curvature import spectral_density
from fastopt.train import blas, spectrum
from fastopt.train.model import MLP
from fastopt.train.objective import Objective
from fastopt.train.optimizers import build_model, trained_model
from fastopt.train.problem import Problem
from fastopt.train.session import Session
from fastopt.train.settings import Settings
from fastopt.train.spectrum import Density, LayerTrace

__all__ = ["Analysis", "Report", "TrainingLoss", "analyse", "expected_seconds", "reading"]

#: (optimizer, what is being computed, steps done, steps in all or 0 if nobody knows)
Report = Callable[[str, str, int, int], None]

# Training rows that the loss is taken over, at most.
ROWS = 4096
# A reading on the way must not take longer than the epochs between two of them: up to this number of
# parameters it forms the whole Hessian; beyond, products have to do, and on fewer rows.
READING_DENSE = 2048
READING_ROWS, READING_ROWS_OF_PRODUCTS = 1024, 512
READING_STEPS = 40


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
    layers: list[LayerTrace]
    products: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `seconds` apart, the same for every run of the same settings."""
        shown = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "label"}
        shown["density"] = vars(self.density).copy()
        shown["layers"] = [vars(layer).copy() for layer in self.layers]
        return shown


@dataclass(frozen=True)
class TrainingLoss:
    """The loss that is analysed, an objective, and in words of which rows, statistics and penalty it is."""

    objective: Objective
    rows: int
    of_rows: int
    l2: float
    batch_statistics: bool | None
    """Whether batch normalisation's statistics move with the parameters; None without it."""

    @classmethod
    def of(cls, model: MLP, settings: Settings, problem: Problem, l2: float, limit: int) -> TrainingLoss:
        """The training loss on the first `limit` training rows, a fair sample of them, in float64."""
        x, t = problem.x["train"][:limit], problem.t["train"][:limit]
        # Exact statistics are those of the training rows under the present parameters: they move with them.
        moving = settings.bn_test == "exact"
        objective = Objective(model, x, t, batch_statistics=moving, l2=l2)
        return cls(objective, len(x), len(problem.x["train"]), l2, moving if model.batch_norm else None)

    def __str__(self) -> str:
        rows = f"all {self.rows}" if self.rows == self.of_rows else f"the first {self.rows} of {self.of_rows}"
        parts = [f"mean loss of {rows} training rows, without dropout"]
        if self.batch_statistics is not None:
            which = "these rows'" if self.batch_statistics else "constant"
            parts.append(f"batch normalisation by {which} statistics")
        if self.l2:
            parts.append(f"with the L2 penalty {self.l2:g}")
        return "; ".join(parts)

    def finite(self) -> bool:
        """Whether there is anything to analyse: the loss and its gradient are numbers."""
        gradient = self.objective.gradient(self.objective.theta)
        return bool(np.isfinite(self.objective.value(self.objective.theta)) and np.isfinite(gradient).all())

    def blas_threads(self, settings: Settings) -> AbstractContextManager[None]:
        """A context in which passes are made with the threads that the settings name, or that suit."""
        suitable = blas.suitable(self.rows, self.objective.model.sizes)
        return blas.limited(settings.blas_threads or suitable)


def analyse(session: Session, report: Report) -> list[Analysis]:
    """The analyses of all runs of a finished session that was asked for them; not of diverged ones."""
    if not session.settings.curvature:
        return []
    found = []
    for run, result in zip(session.runs(), session.results, strict=True):
        if result["metrics"] is None or run.larger:
            continue
        problem = session.problem_of(run.fold)
        model = trained_model(run, problem, result)
        loss = TrainingLoss.of(model, run.settings, problem, result["l2"], ROWS)
        label = str(result["label"])
        with loss.blas_threads(session.settings):
            found.append(_analysis(label, loss, lambda *step, label=label: report(label, *step)))
    return found


def _analysis(label: str, loss: TrainingLoss, tick: spectrum.Tick) -> Analysis:
    began, objective = perf_counter(), loss.objective
    small = objective.n <= spectrum.LARGEST
    found = spectrum.dense(objective, tick) if small else spectrum.lanczos(objective, tick)
    point = found.pop("point")
    return Analysis(
        label=label,
        loss=objective.value(objective.theta),
        about=str(loss),
        method="dense" if small else "Lanczos",
        n=objective.n,
        kind=point.kind,
        text=str(point),
        n_negative=point.n_negative,
        n_unresolved=point.n_unresolved,
        n_positive=point.n_positive,
        tolerance=point.tolerance,
        gradient_norm=point.gradient_norm,
        products=objective.products,
        seconds=perf_counter() - began,
        **found,
    )


def expected_seconds(session: Session) -> float:
    """Roughly how long one analysis will take, from the time of a product with the untrained model's Hessian.

    A guess for planning, right to a factor of two or three.
    """
    model = build_model(session.settings, session.problem)
    loss = TrainingLoss.of(model, session.settings, session.problem, 0.0, ROWS)
    objective = loss.objective
    small = objective.n <= spectrum.LARGEST
    directions = np.ones((objective.block if small else 1, objective.n))
    with loss.blas_threads(session.settings):
        objective.gradient(objective.theta)
        began = perf_counter()
        objective.hvp(objective.theta, directions)
        seconds = (perf_counter() - began) / len(directions)
    if small:
        return seconds * objective.n + spectrum.EIGEN_SECONDS * objective.n**3
    return seconds * (
        spectrum.VERDICT + spectrum.PROBES * spectrum.STEPS + spectrum.TRACE * (len(model.blocks))
    )


def reading(model: MLP, settings: Settings, problem: Problem, l2: float) -> dict[str, Any]:
    """Loss, gradient norm and minimum ratio, as an interval, at the model's present parameters.

    The ratio is the share of positive eigenvalues of the Hessian; of a large model, of those whose magnitude
    is beyond a share, `beyond`, of the largest. Away from a critical point it describes the curvature and no
    more.
    """
    small = sum(p.size for p in model.parameters) <= READING_DENSE
    loss = TrainingLoss.of(model, settings, problem, l2, READING_ROWS if small else READING_ROWS_OF_PRODUCTS)
    objective, theta = loss.objective, loss.objective.theta
    row = {
        "loss": objective.value(theta),
        "gradient_norm": float(np.linalg.norm(objective.gradient(theta))),
        "rows": loss.rows,
        "beyond": 0.0 if small else spectrum.BEYOND,
    }
    if not loss.finite():
        return row | {"low": float("nan"), "high": float("nan")}
    if small:
        low, high = fastopt.critical_point(None, None, hessian=objective.hessian(theta)).min_ratio
    else:
        products = partial(objective.hvp, theta)
        density = spectral_density(products, objective.n, probes=spectrum.PROBES, steps=READING_STEPS)
        low, high = spectrum.decided(density)
    return row | {"low": low, "high": high}
