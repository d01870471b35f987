"""Why conjugate gradients do not survive mini-batches, where they stop, and what late gradients do.

    python examples/conjugate.py [--out DIRECTORY]

Writes conjugate.png: least squares by conjugate gradients on all data and on mini-batches; where they and
noisy descent end on a surface with many basins; both at a saddle; and the stability of descent with gradients
that are some steps old.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from descent import Array

import fastopt


def least_squares() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4096, 20)) * np.geomspace(1, 0.1, 20)
    return x, x @ rng.normal(size=20) + rng.normal(0, 0.5, 4096)


def conjugate(x: Array, y: Array, batch_size: int, passes: float) -> tuple[list[float], list[float]]:
    """Polak-Ribiere+ with the exact minimum along each line, of the batch that is at hand."""
    w = np.zeros(x.shape[1])
    cost, loss, seen = [0.0], [float(np.mean((x @ w - y) ** 2) / 2)], 0
    g_old = d = None
    batches = fastopt.batches(x, y, batch_size=batch_size, epochs=1000, shuffle=batch_size < len(y), seed=0)
    for xb, yb in batches:
        g = xb.T @ (xb @ w - yb) / len(yb)
        beta = 0.0 if g_old is None else max(0.0, g @ (g - g_old) / (g_old @ g_old))
        d = -g if d is None else -g + beta * d
        if d @ g > 0:
            d = -g
        curve = np.mean((xb @ d) ** 2)
        w = w - (d @ g) / curve * d
        g_old, seen = g, seen + 2 * len(yb)  # a gradient, and a product with the direction
        cost.append(seen / len(y))
        loss.append(float(np.mean((x @ w - y) ** 2) / 2))
        if cost[-1] >= passes:
            break
    return cost, loss


def stochastic(x: Array, y: Array, batch_size: int, passes: float) -> tuple[list[float], list[float]]:
    w = np.zeros(x.shape[1])
    steps = int(passes * len(y) / batch_size)
    optimizer = fastopt.Adam([w], lr=fastopt.schedules.warmup_cosine(0.1, warmup=0, total=steps))
    cost, loss = [0.0], [float(np.mean((x @ w - y) ** 2) / 2)]
    for i, (xb, yb) in enumerate(fastopt.batches(x, y, batch_size=batch_size, epochs=1000, seed=0)):
        if i == steps:
            break
        optimizer.step([xb.T @ (xb @ w - yb) / len(yb)])
        cost.append((i + 1) * batch_size / len(y))
        loss.append(float(np.mean((x @ w - y) ** 2) / 2))
    return cost, loss


def mini_batches(axis: Any) -> None:
    x, y = least_squares()
    best = float(np.mean((x @ np.linalg.lstsq(x, y, rcond=None)[0] - y) ** 2) / 2)
    runs = {
        "CG, all 4,096 examples": conjugate(x, y, len(y), 40),
        "CG, batches of 512": conjugate(x, y, 512, 40),
        "CG, batches of 64": conjugate(x, y, 64, 40),
        "Adam with decay, batches of 64": stochastic(x, y, 64, 40),
    }
    for name, (cost, loss) in runs.items():
        axis.semilogy(cost, np.array(loss) - best + 1e-12, lw=1.2, label=name)
    axis.set(
        title="The line search has no fixed function to search",
        xlabel="passes over the data",
        ylabel="loss above the least",
        ylim=(1e-11, 1e4),
    )
    axis.legend(loc="upper right")


def rugged(p: Array) -> float:
    return float(0.1 * (p @ p) + 1.2 * np.sum(1 - np.cos(3 * p)))


def rugged_gradient(p: Array) -> Array:
    return 0.2 * p + 3.6 * np.sin(3 * p)


def basins(axis: Any) -> None:
    """Conjugate gradients end in the basin where they start; noisy descent with decay finds better ones."""
    rng = np.random.default_rng(0)
    ends: dict[str, list[float]] = {"conjugate gradients": [], "SGD, noise and decay": []}
    for _ in range(200):
        start = rng.uniform(-8, 8, 2)
        ends["conjugate gradients"].append(fastopt.minimize(rugged, rugged_gradient, start, "cg").fun)
        p = start.copy()
        optimizer = fastopt.SGD(
            [p], lr=fastopt.schedules.warmup_cosine(0.12, warmup=0, total=600), momentum=0.5
        )
        for _ in range(600):
            optimizer.step([rugged_gradient(p) + rng.normal(0, 8.0, 2)])
        ends["SGD, noise and decay"].append(rugged(p))
    bins = np.linspace(0, 14, 43)
    for name, values in ends.items():
        axis.hist(values, bins, alpha=0.65, label=f"{name}: median {np.median(values):.2f}")
    axis.set(title="Many basins: the losses of 200 starts", xlabel="loss at the end", ylabel="runs")
    axis.legend()


def at_a_saddle(axis: Any) -> None:
    """L = (1 - w1 w2)^2 from a start on the line that leads into the saddle at the origin."""

    def f(w: Array) -> float:
        return float((1 - w[0] * w[1]) ** 2)

    def grad(w: Array) -> Array:
        r = 1 - w[0] * w[1]
        return np.array([-2 * r * w[1], -2 * r * w[0]])

    a, b = np.meshgrid(np.linspace(-2, 2, 200), np.linspace(-2, 2, 200))
    axis.contour(a, b, np.log1p((1 - a * b) ** 2), levels=18, colors="0.85", linewidths=0.7)
    start = np.array([1.6, -1.6])
    path = [start]
    fastopt.minimize(f, grad, start, "cg", callback=lambda w: path.append(w.copy()))
    line = np.array(path)
    axis.plot(
        *line.T, "o-", color=COLOURS[0], ms=6, label=f"conjugate gradients: stop at loss {f(line[-1]):.2f}"
    )
    rng = np.random.default_rng(4)
    w = start.copy()
    optimizer = fastopt.SGD([w], lr=0.04)
    path = [w.copy()]
    for _ in range(250):
        optimizer.step([grad(w) + rng.normal(0, 0.4, 2)])
        path.append(w.copy())
    axis.plot(*np.array(path).T, "-", color=COLOURS[1], lw=0.9, label=f"SGD with noise: loss {f(w):.4f}")
    axis.plot(0, 0, "x", color="black", ms=9, mew=2)
    t = np.linspace(0.5, 2, 60)
    for sign in (1, -1):
        axis.plot(sign * t, sign / t, color="black", lw=1.5)
    axis.grid(visible=False)
    axis.set(
        title="A saddle (cross) and the minima (black)",
        xlabel="$w_1$",
        ylabel="$w_2$",
        xlim=(-2, 2),
        ylim=(-2, 2),
    )
    axis.legend(loc="lower left", fontsize=7)


def late_gradients(axis: Any) -> None:
    """theta -= lr * gradient(theta of tau steps ago) on a parabola: the largest rate that still converges."""
    delays = np.arange(0, 17)
    found = []
    for delay in delays:
        low, high = 0.0, 4.0
        for _ in range(40):
            rate = (low + high) / 2
            companion = np.diag(np.ones(delay), -1)  # theta_{t+1} = theta_t - rate theta_{t-delay}
            companion[0, 0] += 1
            companion[0, delay] -= rate
            stable = np.abs(np.linalg.eigvals(companion)).max() < 1
            low, high = (rate, high) if stable else (low, rate)
        found.append(low)
    fine = np.linspace(0, 16, 200)
    axis.semilogy(fine, 2 * np.sin(np.pi / (4 * fine + 2)), color="0.6", label=r"$2\,\sin(\pi/(4\tau+2))$")
    axis.semilogy(delays, found, "o", label="largest stable rate, found by bisection")
    axis.fill_between(fine, 2 * np.sin(np.pi / (4 * fine + 2)), 4, color=COLOURS[1], alpha=0.12, lw=0)
    axis.text(9, 1.0, "diverges", color=COLOURS[1])
    axis.set(
        title="Late gradients: asynchronous descent",
        xlabel=r"age $\tau$ of the gradient, in steps",
        ylabel=r"lr $\times$ largest eigenvalue",
        ylim=(0.06, 4),
    )
    axis.legend(loc="lower left")


def main() -> None:
    out = parser(__doc__).parse_args().out
    figure, axes = plt.subplots(2, 2, figsize=(12, 7.6))
    mini_batches(axes[0, 0])
    basins(axes[0, 1])
    at_a_saddle(axes[1, 0])
    late_gradients(axes[1, 1])
    figure.suptitle("Conjugate gradients need one fixed function; descent with noise does not")
    save(figure, out, "conjugate")


if __name__ == "__main__":
    main()
