"""Loss against minimum ratio at the critical points of small networks, as in Dauphin et al. (NeurIPS 2014).

In many dimensions almost all critical points are saddles, and the higher their loss the more directions lead
down. Shown on perceptrons that read digits of 4 x 4 pixels: cross-entropy with decay L2 |theta|^2 / 2, which
puts minima at finite weights.

A critical point is a root of the gradient, so roots are what is sought: Levenberg and Marquardt's step for
|g|^2, s = -H (H^2 + mu^2 I)^-1 g, from the eigendecomposition of the exact Hessian. From arbitrary points
such searches mostly end where |g| is small but not zero (Frye et al., Neural Computation 33, 2021). Good
places to start are where training gets stuck: trained with only k of its hidden units switched on, a network
is near a critical point of the whole (Fukumizu and Amari, Neural Networks 13, 2000), for k = 0 at the highest
loss. Each start is such a place plus noise, so this is a tour of the surface, not a fair sample of its
critical points. What the root is, fastopt.critical_point says; what it does not
accept is counted, not drawn.

Writes minimum_ratio.png. --full takes networks of up to 1981 parameters, and about an hour.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from common import COLOURS, parser, plt, save

import fastopt
from fastopt.train import MLP, Objective, digits
from fastopt.train.blas import limited

ROWS, L2 = 200, 3e-3
#: Hidden units, starting points, steps of the search at most; 16 inputs and 10 classes.
DEFAULT = [(12, 260, 40)]
FULL = [(12, 520, 60), (30, 130, 60), (73, 52, 40)]
QUICK = [(3, 8, 25)]


class Loss:
    """L(theta) of a network with one hidden layer, exact to the second order."""

    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        data = digits()
        rows = rng.permutation(len(data.x))[:ROWS]
        x = data.x[rows].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(ROWS, 16)
        self.x = (x - x.mean(axis=0)) / (x.std(axis=0) + 0.1)
        self.labels = np.asarray(data.y[rows], int).ravel()
        self.hidden = hidden
        model = MLP([16, hidden, 10], output="softmax", activation="tanh", rng=rng)
        self.plain = Objective(model, self.x, np.eye(10)[self.labels])
        self.n, self.slices = self.plain.n, self.plain.slices

    def value(self, theta: np.ndarray) -> float:
        return self.plain.value(theta) + L2 / 2 * float(theta @ theta)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        return self.plain.gradient(theta) + L2 * theta

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        return self.plain.hessian(theta) + L2 * np.eye(self.n)

    def switch_off(self, theta: np.ndarray, units: int) -> None:
        """Set all weights of the first `units` hidden units to zero: then their gradient is zero as well."""
        theta[self.slices["layer1.weight"]].reshape(16, self.hidden)[:, :units] = 0
        theta[self.slices["layer1.bias"]][:units] = 0
        theta[self.slices["layer2.weight"]].reshape(self.hidden, 10)[:units] = 0

    def error(self, theta: np.ndarray) -> float:
        """The share of rows that are classified wrongly."""
        self.plain.value(theta)  # the network now has these parameters
        outputs = self.plain.model.forward(self.x, training=False)
        return float((outputs.argmax(axis=1) != self.labels).mean())


class Found(NamedTuple):
    point: Any  # fastopt.curvature.CriticalPoint
    loss: float
    error: float


def start(loss: Loss, units: int, rng: np.random.Generator) -> np.ndarray:
    """Where training ends with so many units switched off, then everything shaken a little."""
    theta = loss.plain.theta * rng.choice([-1.0, 1.0], loss.n) + 0.1 * rng.standard_normal(loss.n)
    on = np.ones(loss.n)
    loss.switch_off(on, units)
    ended = fastopt.minimize(
        lambda w: loss.value(on * w),
        lambda w: on * loss.gradient(on * w),
        on * theta,
        "l-bfgs",
        gtol=1e-7,
        ftol=0,
    )
    shake = 10 ** rng.uniform(-3, -0.5) if units else 0.0
    return ended.x + shake * rng.standard_normal(loss.n)


def root(loss: Loss, theta: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the search for a root of the gradient ended, and the Hessian there."""
    g, h = loss.gradient(theta), loss.hessian(theta)
    values, vectors = fastopt.eigh(h)
    mu = 1e-3 * np.abs(values).max()
    norms = [np.linalg.norm(g)]
    for _ in range(steps):
        along = vectors.T @ g
        while True:
            trial = theta - vectors @ (along * values / (values**2 + mu**2))
            after = loss.gradient(trial)
            if np.linalg.norm(after) < norms[-1] or mu > 1e6:
                break
            mu *= 4
        # A search that no longer gets anywhere is in a valley of |g| without a root.
        if mu > 1e6 or norms[-1] < 1e-12 or (len(norms) > 8 and norms[-1] > 0.7 * norms[-6]):
            break
        theta, g, mu = trial, after, mu / 8
        norms.append(np.linalg.norm(g))
        h = loss.hessian(theta)
        values, vectors = fastopt.eigh(h)
    return theta, h


def search(hidden: int, count: int, steps: int) -> tuple[int, list[Found]]:
    rng = np.random.default_rng(hidden)
    loss = Loss(hidden, rng)
    found = []
    for i in range(count):
        units = hidden - round(i / max(1, count - 1) * hidden)
        theta, h = root(loss, start(loss, units, rng), steps)
        point = fastopt.critical_point(loss.gradient, theta, hessian=h)
        verdict = str(point).splitlines()[0]
        print(f"{loss.n} parameters, {i + 1} of {count}, loss {loss.value(theta):.4f}, {verdict}", flush=True)
        if point.kind != "not critical":
            found.append(Found(point, loss.value(theta), loss.error(theta)))
    return loss.n, found


def draw(groups: list[tuple[int, list[Found]]], searches: int) -> Any:
    figure = plt.figure(figsize=(11.5, 5.6))
    grid = figure.add_gridspec(2, 2, width_ratios=[1.6, 1])
    everything = sorted((x for _, found in groups for x in found), key=lambda x: x.loss)
    shade: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": max(x.error for x in everything) or 1}
    ax = figure.add_subplot(grid[:, 0])
    for (n, found), marker in zip(groups, "osD", strict=False):
        low, high = np.array([x.point.min_ratio for x in found]).T
        loss, error = [x.loss for x in found], [100 * x.error for x in found]
        ax.hlines(loss, low, high, color="black", lw=1)
        dots = ax.scatter(
            (low + high) / 2,
            loss,
            c=error,
            marker=marker,
            s=46,
            edgecolors="white",
            linewidths=0.6,
            label=f"{n} parameters",
            **{**shade, "vmax": 100 * shade["vmax"]},
        )
    for x in (x for x in everything if x.point.kind == "minimum"):
        ax.plot(1, x.loss, "o", ms=11, mfc="none", mec=COLOURS[1], mew=1.2)
    figure.colorbar(dots, ax=ax, label="training error, %", pad=0.01)
    ax.set(
        xlabel="minimum ratio: share of positive eigenvalues (bars: what the arithmetic leaves open)",
        ylabel="loss",
    )
    ax.set_title(
        f"{len(everything)} critical points from {searches} searches; circled: minima, all others are saddles"
    )
    ax.legend(loc="upper right")
    spectra(figure.add_subplot(grid[0, 1]), everything)
    index(figure.add_subplot(grid[1, 1]), everything)
    figure.suptitle("High loss, many ways down: critical points of perceptrons for digits")
    return figure


def spectra(ax: Any, everything: list[Found]) -> None:
    """The eigenvalues at a high, a middle and the lowest critical point."""
    chosen = [everything[-1], everything[len(everything) // 2], everything[0]]
    for x, colour in zip(chosen, (COLOURS[4], COLOURS[2], COLOURS[0]), strict=True):
        values = x.point.eigenvalues
        ax.plot(
            np.linspace(0, 1, len(values)),
            values,
            color=colour,
            lw=2,
            label=f"loss {x.loss:.3g}: {x.point.kind}",
        )
    ax.axhline(0, color="black", lw=0.8)
    ax.set_yscale("symlog", linthresh=1e-3)
    ax.set(
        title="their Hessians' eigenvalues, ascending",
        xlabel="share of eigenvalues below",
        ylabel=r"$\lambda$",
    )
    ax.legend(loc="upper left")


def index(ax: Any, everything: list[Found]) -> None:
    """Dauphin's own axes: error over the share of negative eigenvalues."""
    share = [100 * x.point.n_negative / x.point.n for x in everything]
    ax.plot(share, [100 * x.error for x in everything], "o", color=COLOURS[0], ms=5, alpha=0.7)
    ax.set(
        title="the same in the axes of 2014",
        xlabel="index: negative eigenvalues, %",
        ylabel="training error, %",
    )


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--full", action="store_true", help="networks of up to 1981 parameters")
    p.add_argument("--quick", action="store_true", help="a network of 91 parameters, in seconds")
    args = p.parse_args()
    begun = time.perf_counter()
    sizes = FULL if args.full else QUICK if args.quick else DEFAULT
    with limited(1):
        groups = [search(*size) for size in sizes]
    print(f"searched for {time.perf_counter() - begun:.0f} s")
    save(draw(groups, sum(count for _, count, _ in sizes)), args.out, "minimum_ratio")


if __name__ == "__main__":
    main()
