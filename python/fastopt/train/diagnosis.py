"""What ails a model? Read off its training, validation and test losses and those of a larger one beside it.

The decision tree is the usual one of courses on neural networks: a high training loss is the model's bias if
a larger model has a lower one, else the optimisation's failure; a low training loss with a high loss
elsewhere is overfitting, or, if the validation rows are still predicted well, a mismatch of distributions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastopt.train import runs
from fastopt.train.optimizers import trained_model
from fastopt.train.outputs import Output
from fastopt.train.problem import PARTS
from fastopt.train.session import Session

Array = NDArray[Any]
Losses = dict[str, float]

# A loss counts as high from this share of what the best constant prediction costs.
HIGH = 0.1
# A larger model's training loss counts as lower if it is at least this share lower.
LOWER = 0.1
# Two losses differ if they do by this many standard errors.
STANDARD_ERRORS = 3.0

CURES = {
    "model bias": "a larger model (--hidden), more or better features, less regularisation (--dropout, "
    "--weight-decay), longer training",
    "optimisation": "another --lr, --schedule or --optimizer, momentum, --batch-norm, --residual, another "
    "--init, more --epochs",
    "overfitting": "more data, --augment for images, more regularisation (--dropout, --weight-decay), "
    "--early-stopping, a smaller model",
    "mismatch": "training rows that are drawn like the test rows: more of them will not help as they are",
    "none": "none needed; more data or an average over models may still help a little",
}


@dataclass(frozen=True)
class Diagnosis:
    """`kind` is a key of `CURES`; losses and standard errors are by part of the data, `high` is the limit."""

    kind: str
    reason: str
    cure: str
    optimizer: str
    high: float
    losses: Losses
    standard_errors: Losses
    larger: dict[str, Any] | None
    """The larger model's hidden widths and losses."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason} Cure: {self.cure}."

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(session: Session) -> Diagnosis | None:
    """The diagnosis of a finished session that was asked for one."""
    if not session.settings.diagnose:
        return None
    mains = [result for result in session.results if not result["larger"]]
    base = constant_loss(session.problem.output, session.problem.t["train"])
    best = runs.best_of(mains)
    if best is None:
        reason = "every run diverged: the steps are too long for this loss."
        name = mains[0]["label"]
        return Diagnosis("optimisation", reason, CURES["optimisation"], name, HIGH * base, {}, {}, None)
    beside = session.results[-1]
    losses, errors = _losses(best), _standard_errors(session, best)
    larger = _losses(beside) if beside["metrics"] else None
    kind, reason = judge(losses, errors, None if larger is None else larger["train"], HIGH * base)
    widths = list(runs.larger(session.settings).hidden)
    shown = {"hidden": widths, "losses": larger}
    return Diagnosis(kind, reason, CURES[kind], best["label"], HIGH * base, losses, errors, shown)


def judge(losses: Losses, errors: Losses, larger: float | None, high: float) -> tuple[str, str]:
    """(kind, reason) from losses and their standard errors by part; `larger` is that training loss.

    >>> judge({"train": 0.5, "validation": 0.6, "test": 0.6}, {}, 0.2, high=0.23)[0]
    'model bias'
    """
    train, validation, test = (losses[part] for part in PARTS)
    limit = f"{high:.3g}"
    if train > high:
        said = f"the training loss {train:.3g} is high (above {limit})"
        if larger is None:
            return "optimisation", f"{said}, and the larger model diverged."
        if larger < (1 - LOWER) * train:
            return "model bias", f"{said}, and a larger model brings it down to {larger:.3g}."
        return "optimisation", (
            f"{said}, and a larger model, which could do all that this one can, does not bring it down "
            f"({larger:.3g}): the minimum is not found, unless noise in the targets keeps it that high."
        )
    said = f"the training loss {train:.3g} is low (up to {limit})"
    if validation > high:
        return (
            "overfitting",
            f"{said}, but that on the validation rows is {validation:.3g}, on the test rows {test:.3g}.",
        )
    if test > high:
        apart = STANDARD_ERRORS * float(np.hypot(errors["validation"], errors["test"]))
        if test - validation > apart:
            return "mismatch", (
                f"{said}, that on the validation rows is too ({validation:.3g}), but that on the test rows "
                f"is {test:.3g}, more than chance explains: they are drawn from another distribution."
            )
        return "overfitting", (
            f"{said}, but that on the test rows is {test:.3g}; that on the validation rows, "
            f"{validation:.3g}, differs from it by no more than chance may."
        )
    return (
        "none",
        f"{said}, and so are those on the validation rows, {validation:.3g}, and test rows, {test:.3g}.",
    )


def constant_loss(output: Output, t: Array) -> float:
    """Mean loss of the one constant prediction that fits these targets best: the mean of the targets."""
    mean = t.mean(axis=0, keepdims=True, dtype=np.float64)
    if output.name == "softmax":
        z = np.log(np.maximum(mean, np.finfo(np.float64).tiny))
    elif output.name == "linear":
        z = mean
    else:
        inside = np.clip(mean, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
        z = np.log(inside / (1 - inside))
    z = np.repeat(z, len(t), axis=0)
    return float(output.losses(z, t.astype(np.float64))[0].mean())


def _losses(result: dict[str, Any]) -> Losses:
    return {part: float(result["metrics"][part]["loss"]) for part in PARTS}


def _standard_errors(session: Session, result: dict[str, Any]) -> Losses:
    """Standard error of each part's mean loss: the deviation over its rows, by the root of their number."""
    problem = session.problem
    run = session.runs()[next(i for i, r in enumerate(session.results) if r is result)]
    model = trained_model(run, problem, result)
    errors: dict[str, float] = {}
    for part in PARTS:
        losses = problem.output.losses(model.values(problem.x[part]), problem.t[part])[0]
        errors[part] = float(losses.std(dtype=np.float64) / np.sqrt(len(losses)))
    return errors
