"""The analysis of a trained model: verdict, extreme eigenvalues, spectral density, trace of each layer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from time import perf_counter

from fastopt.train import blas
from fastopt.train.analysis import dense, lanczos
from fastopt.train.analysis.findings import Analysis, Tick
from fastopt.train.analysis.place import Place
from fastopt.train.results import model_of
from fastopt.train.session import Session

#: (optimizer, what is being computed, steps done, steps in all or 0 if nobody knows)
Report = Callable[[str, str, int, int], None]

# Training rows that the loss is taken over, at most.
ROWS = 4096


def analyse(session: Session, report: Report) -> list[Analysis]:
    """The analyses of all runs of a finished session that was asked for them; not of diverged ones."""
    if not session.settings.curvature:
        return []
    found = []
    for run, result in zip(session.runs(), session.results, strict=True):
        if result["metrics"] is None or run.larger:
            continue
        problem = session.problem_of(run.fold)
        model = model_of(run, problem, result)
        place = Place.of(model, run.settings, problem, result["l2"], ROWS)
        label = str(result["label"])
        with blas.limited(session.settings.blas_threads or blas.suitable(_largest_product(place))):
            found.append(of_place(label, place, lambda *step, label=label: report(label, *step)))
    return found


def of_place(label: str, place: Place, tick: Tick) -> Analysis:
    """The analysis at one place; `tick(what, done, total)` is told how far it is."""
    began = perf_counter()
    objective = place.objective
    large = objective.n > dense.LARGEST
    found = lanczos.findings(place, tick) if large else dense.findings(place, tick)
    point = found.pop("point")
    return Analysis(
        label=label,
        loss=objective.value(objective.theta),
        about=str(place),
        method=lanczos.NAME if large else dense.NAME,
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


def _largest_product(place: Place) -> int:
    sizes = place.objective.model.sizes
    return place.rows * max(a * b for a, b in pairwise(sizes))
