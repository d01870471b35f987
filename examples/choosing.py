"""Which optimizer, and which settings? Measured on three problems.

    python examples/choosing.py [--quick] [--out DIRECTORY]

Writes choosing.png (the loss after a fixed number of steps against the learning rate, for ten rules on three
problems; the table under examples/README.md is printed) and settings.png (the influence of each
hyper-parameter on training and test loss).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from common import COLOURS, parser, plt, save
from handwriting import Array, standardised

import fastopt
from fastopt.train import MLP
from fastopt.train.activations import sigmoid
from fastopt.train.blas import limited

Problem = Callable[[Callable[[list[Array]], Any]], float]

RULES: dict[str, Callable[[list[Array], Any], Any]] = {
    "SGD": lambda p, lr: fastopt.SGD(p, lr=lr),
    "momentum 0.9": lambda p, lr: fastopt.SGD(p, lr=lr, momentum=0.9),
    "Nesterov 0.9": lambda p, lr: fastopt.SGD(p, lr=lr, momentum=0.9, nesterov=True),
    "Adagrad": lambda p, lr: fastopt.Adagrad(p, lr=lr),
    "RMSprop": lambda p, lr: fastopt.RMSprop(p, lr=lr),
    "Adadelta": lambda p, lr: fastopt.Adadelta(p, lr=lr),
    "Adam": lambda p, lr: fastopt.Adam(p, lr=lr),
    "NAdam": lambda p, lr: fastopt.NAdam(p, lr=lr),
    "Lion": lambda p, lr: fastopt.Lion(p, lr=lr),
    "LAMB": lambda p, lr: fastopt.LAMB(p, lr=lr),
}


class Effort(NamedTuple):
    """How much is tried: learning rates and steps of each rule; epochs and seeds of each setting."""

    rates: Array
    steps: int
    epochs: int
    seeds: int


FULL = Effort(np.geomspace(1e-4, 10, 16), 300, 20, 3)
QUICK = Effort(np.geomspace(1e-4, 10, 4), 30, 2, 1)


def digits_problem(steps: int) -> Problem:
    """A perceptron on the digits: well scaled, noisy batches."""
    x, t = standardised()

    def run(make: Callable[[list[Array]], Any]) -> float:
        model = MLP([64, 48, 10], rng=np.random.default_rng(0))
        optimizer = make(model.parameters)
        for i, (xb, tb) in enumerate(fastopt.batches(x, t, batch_size=64, epochs=100, seed=0)):
            if i == steps:
                break
            optimizer.step(model.loss_and_gradients(xb, tb)[1])
        return model.loss(x, t)

    return run


def narrow_problem(steps: int) -> Problem:
    """Least squares in a narrow valley of condition 1e4, all data at once."""
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    hessian = basis @ np.diag(np.geomspace(1e-4, 1, 30)) @ basis.T
    start = basis @ rng.normal(size=30)

    def run(make: Callable[[list[Array]], Any]) -> float:
        w = start.copy()
        optimizer = make([w])
        for _ in range(steps):
            optimizer.step([hessian @ w])
        return float(w @ hessian @ w / 2)

    return run


def sparse_problem(steps: int) -> Problem:
    """Logistic regression on words: feature j occurs in one example of about j."""
    rng = np.random.default_rng(0)
    present = rng.random((6000, 200)) < 1.0 / np.arange(2, 202)
    x = present.astype(float)
    y = (rng.random(6000) < sigmoid(x @ rng.normal(0, 2, 200))).astype(float)

    def run(make: Callable[[list[Array]], Any]) -> float:
        w = np.zeros(200)
        optimizer = make([w])
        for i, (xb, yb) in enumerate(fastopt.batches(x, y, batch_size=32, epochs=100, seed=0)):
            if i == steps:
                break
            optimizer.step([xb.T @ (sigmoid(xb @ w) - yb) / len(yb)])
        z = x @ w
        return float(np.mean(np.logaddexp(0, z) - y * z))

    return run


def measure(problem: Problem, rates: Array) -> dict[str, Array]:
    with np.errstate(all="ignore"):
        return {
            name: np.array([problem(lambda p, r=rule, k=lr: r(p, k)) for lr in rates])
            for name, rule in RULES.items()
        }


def table(results: dict[str, dict[str, Array]], rates: Array) -> None:
    """Best loss, at which rate, and over how wide a range of rates 95 % of the fall is reached."""
    print("| rule | " + " | ".join(f"{p}: best loss, at lr, range" for p in results) + " |")
    print("|---|" + "---|" * len(results))
    for name in RULES:
        cells = []
        for losses in results.values():
            values = np.where(np.isfinite(losses[name]), losses[name], np.inf)
            best = int(np.argmin(values))
            start = losses["SGD"][0]  # the smallest rate hardly moves
            good = np.flatnonzero(values <= values[best] + 0.05 * (start - values[best]))
            cells.append(f"{values[best]:.2g}, {rates[best]:.1g}, {rates[good[-1]] / rates[good[0]]:.0f}x")
        print(f"| {name} | " + " | ".join(cells) + " |")


def choosing(out: Any, effort: Effort) -> None:
    problems = {
        "digits, batches of 64": digits_problem(effort.steps),
        "narrow valley, all data": narrow_problem(effort.steps),
        "sparse features, batches of 32": sparse_problem(effort.steps),
    }
    results = {name: measure(problem, effort.rates) for name, problem in problems.items()}
    figure, axes = plt.subplots(1, 3, figsize=(12, 4))
    for axis, (name, losses) in zip(axes, results.items(), strict=True):
        start = losses["SGD"][0]
        for i, (rule, values) in enumerate(losses.items()):
            shown = np.where(np.isfinite(values) & (values < 3 * start), values, np.nan)
            style = "-" if i < len(COLOURS) else "--"
            colour = COLOURS[i % len(COLOURS)]
            axis.loglog(effort.rates, shown, style, marker=".", lw=1.2, color=colour, label=rule)
        axis.set(title=name, xlabel="lr")
    axes[0].set_ylabel(f"loss after {effort.steps} steps")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.suptitle("Ten rules against their learning rate")
    save(figure, out, "choosing")
    table(results, effort.rates)


BASE = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "batch": 64,
    "weight_decay": 0.01,
    "width": 48,
    "dropout": 0.0,
}
RANGES: dict[str, list[float]] = {
    "lr": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
    "beta1": [0.0, 0.5, 0.8, 0.9, 0.95, 0.99],
    "beta2": [0.5, 0.9, 0.99, 0.999, 0.9999],
    "batch": [8, 16, 32, 64, 128, 256],
    "weight_decay": [0.0, 0.01, 0.1, 0.3, 1.0, 3.0],
    "width": [4, 8, 16, 48, 128, 256],
    "dropout": [0.0, 0.1, 0.2, 0.4, 0.6],
}


def settings(out: Any, effort: Effort) -> None:
    """AdamW on 1,000 noisy digits, one setting varied at a time."""
    x, t = standardised()
    x = x + np.asarray(np.random.default_rng(1).normal(0, 0.7, x.shape), np.float32)

    def run(seed: int, **changed: float) -> tuple[float, float]:
        s = BASE | changed
        rng = np.random.default_rng(seed)
        model = MLP([64, int(s["width"]), 10], rng=rng, dropout=s["dropout"])
        optimizer = fastopt.AdamW(
            model.parameters, lr=s["lr"], betas=(s["beta1"], s["beta2"]), weight_decay=s["weight_decay"]
        )
        batch, epochs = int(s["batch"]), effort.epochs
        for xb, tb in fastopt.batches(x[:1000], t[:1000], batch_size=batch, epochs=epochs, seed=seed):
            optimizer.step(model.loss_and_gradients(xb, tb, rng)[1])
        return model.loss(x[:1000], t[:1000]), model.loss(x[1000:], t[1000:])

    figure, axes = plt.subplots(2, 4, figsize=(12, 6), sharey=True)
    for axis, (name, values) in zip(axes.flat, RANGES.items(), strict=False):
        losses = np.array([[run(seed, **{name: v}) for seed in range(effort.seeds)] for v in values]).mean(1)
        places: Any = values if name not in ("beta2", "weight_decay") else range(len(values))
        axis.plot(places, losses[:, 0], "o-", ms=4, label="training")
        axis.plot(places, losses[:, 1], "o-", ms=4, label="test")
        if name in ("lr", "batch", "width"):
            axis.set_xscale("log")
        if name in ("beta2", "weight_decay"):
            axis.set_xticks(range(len(values)), [f"{v:g}" for v in values])
        axis.set(title=name, yscale="log", ylim=(1e-3, 3))
    axes.flat[-1].axis("off")
    axes[0, 0].legend()
    for row in axes:
        row[0].set_ylabel("loss")
    figure.suptitle("AdamW on noisy digits: one setting varied at a time (mean of three runs)")
    save(figure, out, "settings")


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--quick", action="store_true", help="few rates, steps and epochs, one seed")
    options = p.parse_args()
    effort = QUICK if options.quick else FULL
    with limited(1):
        choosing(options.out, effort)
        settings(options.out, effort)


if __name__ == "__main__":
    main()
