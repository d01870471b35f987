"""A session in words and figures, for the terminal, `metrics.json` and the page alike."""

from __future__ import annotations

from fastopt.train.optimizers import build_model
from fastopt.train.runs import training_seconds
from fastopt.train.session import Session


def data(session: Session) -> str:
    """One line on the data and its parts."""
    dataset, rows = session.problem.dataset, session.problem.rows
    shape = (
        "images of {} x {}".format(*dataset.image_shape)
        if dataset.image_shape
        else f"{dataset.x.shape[1]} features"
    )
    what = (
        f"{dataset.outputs} classes"
        if dataset.classes
        else f"regression of {_count(dataset.outputs, 'target')}"
    )
    parts = f"{len(rows.train)} rows to train, {len(rows.validation)} to validate, {len(rows.test)} to test"
    if session.settings.folds:
        parts += f", in the first of {session.settings.folds} folds"
    return f"{dataset.name}: {shape}, {what}; {parts}"


def model(session: Session) -> str:
    """One line on the model."""
    settings, problem = session.settings, session.problem
    inputs, outputs = problem.sizes
    sizes = "-".join(str(size) for size in (inputs, *settings.hidden, outputs))
    parts = [sizes]
    if settings.hidden:
        parts += [settings.activation]
        parts += ["batch normalisation"] if settings.batch_norm else []
        parts += [f"dropout {settings.dropout:g}"] if settings.dropout else []
        parts += ["residual connections"] if settings.residual else []
    parts += [problem.output.title]
    return f"{', '.join(parts)}; {parameters(session):,} parameters"


def parameters(session: Session) -> int:
    """Number of trained values."""
    return sum(p.size for p in build_model(session.settings, session.problem).parameters)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def optimizer_share(seconds: dict[str, float]) -> float:
    """Share of the training time (evaluation left out) that was spent in the optimizer's step."""
    training = training_seconds(seconds)
    return float(seconds["optimizer"] / training) if training else 0.0


def score(name: str, value: float, deviation: float | None = None) -> str:
    """A metric with the digits that matter: accuracy in per cent.

    >>> score("accuracy", 0.98765), score("r2", 0.98765), score("accuracy", 0.98765, 0.0123)
    ('98.77 %', '0.9877', '98.77 ± 1.23 %')
    """
    spread = "" if deviation is None else f" ± {100 * deviation if name == 'accuracy' else deviation:.4f}"
    if name == "accuracy":
        return f"{100 * value:.2f}{spread[:-2]} %"
    return f"{value:.4f}{spread}"
