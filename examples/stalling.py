"""Why training stalls though the gradient is not small, and what cures it.

    python examples/stalling.py [--out DIRECTORY]

Writes stalling.png (narrow valleys, and the learning rates that do not cross them) and rates.png (adaptive
rates: the burst of Adagrad's mean form, Adadelta's late jitter, rare features, warm-up).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from descent import Array, Make, descend

import fastopt
from fastopt import schedules


def ellipse(low: float, high: float, angle: float) -> Array:
    """The Hessian with these eigenvalues whose axes are turned by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    axes = np.array([[c, -s], [s, c]])
    return axes @ np.diag([low, high]) @ axes.T


def losses(hessian: Array, path: Array) -> Array:
    return 0.5 * np.einsum("ti,ij,tj->t", path, hessian, path)


def contours(axis: Any, hessian: Array, width: float, height: float) -> None:
    x, y = np.meshgrid(np.linspace(-width, width, 201), np.linspace(-height, height, 201))
    z = 0.5 * (hessian[0, 0] * x * x + 2 * hessian[0, 1] * x * y + hessian[1, 1] * y * y)
    axis.contour(x, y, np.sqrt(z), levels=14, colors="0.75", linewidths=0.7)
    axis.plot(0, 0, "*", color="black", ms=9)
    axis.grid(visible=False)


def valley(axes: list[Any]) -> None:
    """Curvatures 1 and 199: what is too fast across the valley is too slow along it."""
    hessian = ellipse(1.0, 199.0, 0.0)
    contours(axes[0], hessian, 11, 1.3)
    runs = {"lr 1e-2: bounces": 1e-2, "lr 1e-7: never arrives": 1e-7, "lr 5e-3: neither, still slow": 5e-3}
    for colour, (name, lr) in zip(COLOURS, runs.items(), strict=False):
        path = descend(lambda p, lr=lr: fastopt.SGD(p, lr=lr), lambda x: hessian @ x, (-10.0, 1.0), 300)
        axes[0].plot(path[:60, 0], path[:60, 1], ".-", ms=3, lw=0.8, color=colour, label=name)
        axes[1].semilogy(losses(hessian, path), color=colour)
        axes[2].semilogy(np.linalg.norm(path @ hessian, axis=1), color=colour)
    cures = {
        "lr 5e-3, momentum 0.85": lambda p: fastopt.SGD(p, lr=5e-3, momentum=0.85),
        "RMSprop, cosine decay": lambda p: fastopt.RMSprop(
            p, lr=schedules.warmup_cosine(0.2, warmup=0, total=300)
        ),
    }
    for colour, (name, make) in zip(COLOURS[3:], cures.items(), strict=False):
        path = descend(make, lambda x: hessian @ x, (-10.0, 1.0), 300)
        axes[1].semilogy(losses(hessian, path), color=colour, ls="--", label=name)
        axes[2].semilogy(np.linalg.norm(path @ hessian, axis=1), color=colour, ls="--")
    axes[0].set(
        title="An ellipse of curvatures 1 and 199: the first 60 steps", xlabel="$w_1$", ylabel="$w_2$"
    )
    axes[0].legend(loc="lower right")
    axes[1].set(title="The loss stalls ...", xlabel="step", ylabel="loss", ylim=(1e-9, 300))
    axes[1].legend(loc="lower left", title="cures")
    axes[2].set(
        title="... while the gradient is not small", xlabel="step", ylabel="|gradient|", ylim=(1e-5, 300)
    )


def scaling(axes: list[Any]) -> None:
    """Two features with ranges of 10 and 10,000, before and after they are standardised."""
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.uniform(0, 10, 200), rng.uniform(0, 10_000, 200)])
    y = x @ np.array([2.0, 0.003]) + rng.normal(0, 1.0, 200)
    y -= y.mean()
    for axis, title, features in (
        (axes[0], "Features of ranges 10 and 10,000", x - x.mean(0)),
        (axes[1], "The same, standardised", (x - x.mean(0)) / x.std(0)),
    ):
        hessian = features.T @ features / len(y)
        best = np.linalg.lstsq(features, y, rcond=None)[0]
        low, high = fastopt.eigvalsh(hessian)
        start = best + np.array([-1.0, 0.7]) * (2.0 if high < 10 else 2.0 / np.sqrt(high))
        start[0] = best[0] - 2.0
        path = descend(
            lambda p, high=high: fastopt.SGD(p, lr=1.9 / high),
            lambda w, f=features: f.T @ (f @ w - y) / len(y),
            start,
            60,
        )
        reach = 1.3 * np.abs(path - best).max(axis=0)
        a, b = np.meshgrid(np.linspace(-reach[0], reach[0], 121), np.linspace(-reach[1], reach[1], 121))
        d = np.stack([a, b], -1)
        z = np.einsum("...i,ij,...j->...", d, hessian, d)
        axis.contour(best[0] + a, best[1] + b, np.sqrt(z), levels=12, colors="0.75", linewidths=0.7)
        axis.plot(*path.T, "o-", ms=3, lw=0.8)
        axis.plot(*best, "*", color="black", ms=9)
        axis.grid(visible=False)
        ratio = "equal scales" if high < 10 else f"$w_2$ drawn {reach[0] / reach[1]:,.0f} times as large"
        axis.set(
            title=f"{title}:\ncondition {high / low:,.3g}, 60 steps",
            xlabel=f"$w_1$  ({ratio})",
            ylabel="$w_2$",
        )


def late_burst(axis: Any) -> None:
    """Root mean square of all gradients: along the valley floor the steep direction's sigma decays."""
    hessian = ellipse(1.0, 100.0, 0.05)
    runs: dict[str, Make] = {
        "Adagrad, mean form": lambda p: fastopt.Adagrad(p, lr=0.2, average=True),
        "... with lr / sqrt(t + 1)": lambda p: fastopt.Adagrad(
            p, lr=lambda k: 0.2 / np.sqrt(k + 1.0), average=True
        ),
        "Adagrad, sum form": lambda p: fastopt.Adagrad(p, lr=0.2),
        "RMSprop": lambda p: fastopt.RMSprop(p, lr=0.01, alpha=0.9),
    }
    for i, (name, make) in enumerate(runs.items()):
        path = descend(make, lambda x: hessian @ x, (-3.0, 1.0), 1500)
        axis.semilogy(
            losses(hessian, path) + 1e-12,
            label=name,
            ls="--" if i == 1 else "-",
            lw=1.1,
            zorder=3 if i == 1 else 2,
        )
    axis.set(
        title="Adagrad's mean form bursts late; decay cures it",
        xlabel="step",
        ylabel="loss",
        ylim=(1e-12, 1e9),
    )
    axis.legend()


def late_jitter(axis: Any) -> None:
    """A noisy quadratic: Adadelta has no rate that could decay."""
    hessian = ellipse(1.0, 30.0, 0.3)
    rng = np.random.default_rng(0)
    runs: dict[str, Make] = {
        "Adadelta": lambda p: fastopt.Adadelta(p, rho=0.9),
        "Adam": lambda p: fastopt.Adam(p, lr=0.05),
        "Adam, cosine decay": lambda p: fastopt.Adam(
            p, lr=schedules.warmup_cosine(0.05, warmup=0, total=4000)
        ),
    }
    for name, make in runs.items():
        path = descend(make, lambda x: hessian @ x + rng.normal(0, 3.0, 2), (-3.0, 2.0), 4000)
        loss = losses(hessian, path)
        axis.loglog(np.arange(1, len(loss) + 1), np.convolve(loss, np.ones(25) / 25, "same"), label=name)
    axis.set(title="Noisy gradients: Adadelta jitters late", xlabel="step", ylabel="loss (mean of 25 steps)")
    axis.legend()


def rare_features(axis: Any) -> None:
    """Feature j is present in one example of 4^j; each has the true weight 1."""
    rng = np.random.default_rng(1)
    present = rng.random((4000, 5)) < 0.25 ** np.arange(5)
    x = present.astype(float)
    y = x @ np.ones(5)
    runs: dict[str, Make] = {
        "SGD": lambda p: fastopt.SGD(p, lr=0.1),
        "Adagrad": lambda p: fastopt.Adagrad(p, lr=0.5),
    }
    for colour, (name, make) in zip(COLOURS, runs.items(), strict=False):
        w = np.zeros(5)
        optimizer = make([w])
        for xb, yb in fastopt.batches(x, y, batch_size=16, epochs=4, seed=0):
            optimizer.step([xb.T @ (xb @ w - yb) / len(yb)])
        axis.plot(np.abs(w - 1), "o-", color=colour, label=name)
    axis.set(
        title="Rare features: who learns their weights?",
        xlabel="feature, present in one example of",
        ylabel="error of its weight after 1,000 steps",
    )
    axis.set_xticks(range(5), [f"{4**j}" for j in range(5)])
    axis.legend()


def warm_up(axis: Any) -> None:
    """Adam's first steps have the full length whatever the gradient; its sigma knows one sample only."""
    rng = np.random.default_rng(2)
    hessian = np.diag(np.geomspace(1, 100, 20, dtype=np.float64))
    for name, warmup in (("without warm-up", 0), ("50 steps of warm-up", 50)):
        loss = []
        for _ in range(20):
            start = 0.1 * rng.normal(size=20)
            path = descend(
                lambda p, k=warmup: fastopt.Adam(p, lr=schedules.warmup_cosine(0.3, warmup=k, total=400)),
                lambda x: hessian @ x + rng.normal(0, 3.0, 20),
                start,
                400,
            )
            loss.append(losses(hessian, path))
        axis.semilogy(np.median(loss, axis=0), label=name)
    axis.set(title="Near a good start Adam first runs away", xlabel="step", ylabel="loss (median of 20 runs)")
    axis.legend()


def main() -> None:
    out = parser(__doc__).parse_args().out
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.6))
    valley(list(axes[0]))
    scaling(list(axes[1, :2]))
    late_burst(axes[1, 2])
    figure.suptitle("Why training stalls though the gradient is not small")
    save(figure, out, "stalling")
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6))
    late_jitter(axes[0])
    rare_features(axes[1])
    warm_up(axes[2])
    figure.suptitle("Adaptive rates: what they do late, what they do for rare features, why they warm up")
    save(figure, out, "rates")


if __name__ == "__main__":
    main()
