"""Momentum in its three forms, Nesterov's look-ahead and the adaptive rules on one surface.

    python examples/race.py [--out DIRECTORY] [--no-animation]

Writes race.png and race.gif (eight rules on one curved valley) and momentum.png (the three forms under a
decaying rate, the vectors of a Nesterov step, and two places where plain descent stops).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from descent import Array, Make, descend

import fastopt


def valley(x: Any, y: Any) -> Any:
    """A curved valley with a steep wall, its minimum at (2, 1.2)."""
    bend = y - 0.3 * x * x
    return 4.0 * bend * bend + 0.15 * (x - 2.0) ** 2 + 0.05 * (y - 1.2) ** 2


def valley_gradient(p: Array) -> Array:
    x, y = p
    bend = y - 0.3 * x * x
    return np.array([-4.8 * bend * x + 0.3 * (x - 2.0), 8.0 * bend + 0.1 * (y - 1.2)])


RACERS: dict[str, Make] = {
    "SGD": lambda p: fastopt.SGD(p, lr=0.03),
    "momentum": lambda p: fastopt.SGD(p, lr=0.03, momentum=0.9),
    "Nesterov": lambda p: fastopt.SGD(p, lr=0.03, momentum=0.9, nesterov=True),
    "Adagrad": lambda p: fastopt.Adagrad(p, lr=0.4),
    "RMSprop": lambda p: fastopt.RMSprop(p, lr=0.05, alpha=0.9),
    "Adadelta": lambda p: fastopt.Adadelta(p, lr=1.0, rho=0.9, eps=1e-3),
    "Adam": lambda p: fastopt.Adam(p, lr=0.15),
    "Lion": lambda p: fastopt.Lion(p, lr=0.03),
}
START = (-2.4, 2.4)
STEPS = 120


def draw_surface(axis: Any) -> None:
    x, y = np.meshgrid(np.linspace(-3.2, 3.6, 300), np.linspace(-1.6, 3.6, 240))
    z = np.log10(valley(x, y) + 1e-3)
    axis.contourf(x, y, z, levels=24, cmap="Greys", alpha=0.45)
    axis.plot(2, 1.2, "*", color="black", ms=11)
    axis.grid(visible=False)
    axis.set(xlim=(-3.2, 3.6), ylim=(-1.6, 3.6), xlabel="$w_1$", ylabel="$w_2$")


def race(out: Path) -> dict[str, Array]:
    paths = {name: descend(make, valley_gradient, START, STEPS) for name, make in RACERS.items()}
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=[1.4, 1])
    draw_surface(axes[0])
    for colour, (name, path) in zip(COLOURS, paths.items(), strict=True):
        axes[0].plot(*path.T, "-", color=colour, lw=1.4, label=name)
        axes[0].plot(*path[40], "o", color=colour, ms=10, mec="white", zorder=5)
        axes[1].semilogy(valley(*path.T) + 1e-9, color=colour, lw=1.4, label=name)
    axes[0].set_title("A curved valley: where each is after 40 of 120 steps")
    axes[1].set(title="Loss", xlabel="step", ylim=(1e-8, 30))
    axes[1].legend(ncols=2, loc="lower left")
    figure.suptitle("Eight rules from one start")
    save(figure, out, "race")
    return paths


def animate(paths: dict[str, Array], out: Path) -> None:
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure, axis = plt.subplots(figsize=(6, 4.2))
    draw_surface(axis)
    lines = [
        axis.plot([], [], "-", color=c, lw=1.3, label=name)[0] for c, name in zip(COLOURS, paths, strict=True)
    ]
    heads = [axis.plot([], [], "o", color=c, ms=6)[0] for c in COLOURS]
    axis.legend(ncols=2, loc="lower left")

    def frame(i: int) -> list[Any]:
        for line, head, path in zip(lines, heads, paths.values(), strict=True):
            line.set_data(*path[max(0, i - 25) : i + 1].T)
            head.set_data(*path[i : i + 1].T)
        axis.set_title(f"step {i}")
        return [*lines, *heads]

    name = out / "race.gif"
    FuncAnimation(figure, frame, frames=range(0, STEPS + 1, 2)).save(name, PillowWriter(fps=12), dpi=70)
    plt.close(figure)
    print(name)


def three_forms(axis: Any) -> None:
    """They agree while the rate is constant; when it falls, the form with lr inside keeps its old speed."""
    hessian = np.diag([1.0, 10.0])

    def decayed(k: int) -> float:
        return 0.05 if k < 20 else 0.005

    for form in ("gradient", "step", "average"):
        factor = 10.0 if form == "average" else 1.0
        path = descend(
            lambda p, f=form, s=factor: fastopt.SGD(
                p, lr=lambda k: s * decayed(k), momentum=0.9, momentum_form=f
            ),
            lambda x: hessian @ x,
            (3.0, 1.0),
            70,
        )
        style = {"gradient": "-", "step": "-", "average": ":"}[form]
        label = f'"{form}"' + (", 10 x lr" if form == "average" else "")
        axis.plot(path[:, 0], style, lw=2.4 if form == "average" else 1.4, label=label)
    axis.axvline(20, color="0.5", lw=0.8)
    axis.text(20.5, 2.6, "lr falls to a tenth", color="0.35", fontsize=8)
    axis.set(title="Momentum in its three forms", xlabel="step", ylabel="$w_1$")
    axis.legend()


def vectors(axis: Any) -> None:
    """One step from the same point with the same velocity: the gradient here, and at the look-ahead point."""
    hessian = np.array([[1.0, 0.3], [0.3, 4.0]])
    w, velocity, mu, lr = np.array([-2.0, 0.9]), np.array([-6.4, 3.6]), 0.9, 0.18
    x, y = np.meshgrid(np.linspace(-2.6, 0.6, 160), np.linspace(-1.0, 1.3, 120))
    z = 0.5 * (hessian[0, 0] * x * x + 2 * hessian[0, 1] * x * y + hessian[1, 1] * y * y)
    axis.contour(x, y, np.sqrt(z), levels=12, colors="0.85", linewidths=0.8)
    ahead = w - lr * mu * velocity

    def arrow(start: Array, end: Array, colour: str, label: str) -> None:
        axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})
        axis.plot([], [], color=colour, label=label)

    here, there = -lr * hessian @ w, -lr * hessian @ ahead
    arrow(w, ahead, COLOURS[0], r"$-\eta\mu m$: where momentum carries us")
    arrow(ahead, ahead + here, COLOURS[1], r"$-\eta\nabla L(\theta)$: momentum, gradient from before")
    arrow(
        ahead, ahead + there, COLOURS[2], r"$-\eta\nabla L(\theta-\eta\mu m)$: Nesterov, gradient from there"
    )
    for point, name, offset in ((w, r"$\theta$", (-10, 6)), (ahead, r"$\theta-\eta\mu m$", (6, 5))):
        axis.plot(*point, "o", color="black", ms=4)
        axis.annotate(name, point, offset, textcoords="offset points")
    axis.plot(0, 0, "*", color="black", ms=10)
    axis.grid(visible=False)
    axis.set(title="The vectors of one step", xlabel="$w_1$", ylabel="$w_2$")
    axis.legend(loc="lower left", fontsize=7)


def dip(axis: Any) -> None:
    """A slope with a small dip in it: plain descent rests there, momentum rolls through."""

    def f(x: Any) -> Any:
        return 0.05 * (x - 6) ** 2 - 0.45 * np.exp(-((x - 1.5) ** 2) / 0.12)

    def grad(x: Array) -> Array:
        return 0.1 * (x - 6) + 0.45 * 2 * (x - 1.5) / 0.12 * np.exp(-((x - 1.5) ** 2) / 0.12)

    x = np.linspace(-1, 8, 400)
    axis.plot(x, f(x), color="0.6")
    for i, momentum in enumerate((0.0, 0.9)):
        path = descend(lambda p, m=momentum: fastopt.SGD(p, lr=0.06, momentum=m), grad, [-0.5], 140)[:, 0]
        name = f"momentum {momentum}" if momentum else "plain descent"
        axis.plot(path, f(path) + 0.04 + 0.05 * i, ".-", ms=4, lw=0.6, color=COLOURS[i], label=name)
        axis.plot(path[-1], f(path[-1]) + 0.04 + 0.05 * i, "o", color=COLOURS[i], ms=9)
    axis.set(title="A dip on the way down", xlabel="w", ylabel="loss")
    axis.legend()


def flat_saddle(axis: Any) -> None:
    """f = x^2/2 - y^3/3 for y < 1 and on: flat at the origin, downhill beyond it."""

    def f(x: Any, y: Any) -> Any:
        return 0.5 * x * x - y**3 / 3 + y**4 / 8

    def grad(p: Array) -> Array:
        return np.array([p[0], -(p[1] ** 2) + p[1] ** 3 / 2])

    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 160), np.linspace(-1.1, 2.6, 200))
    axis.contour(y, x, f(x, y), levels=30, colors="0.85", linewidths=0.7)
    for i, momentum in enumerate((0.0, 0.9)):
        path = descend(lambda p, m=momentum: fastopt.SGD(p, lr=0.1, momentum=m), grad, (0.9, -0.9), 200)
        name = f"momentum {momentum}" if momentum else "plain descent"
        axis.plot(path[:, 1], path[:, 0], ".-", ms=4, lw=0.8, color=COLOURS[i], label=name)
        axis.plot(path[-1, 1], path[-1, 0], "o", color=COLOURS[i], ms=9)
    axis.plot(0, 0, "x", color="black", ms=8, mew=2)
    axis.plot(2, 0, "*", color="black", ms=10)
    axis.grid(visible=False)
    axis.set(title="A flat saddle (cross): after 200 steps", xlabel="$w_1$", ylabel="$w_2$")
    axis.legend(loc="lower right")


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--no-animation", action="store_true", help="leave race.gif out")
    options = p.parse_args()
    paths = race(options.out)
    if not options.no_animation:
        animate(paths, options.out)
    figure, axes = plt.subplots(2, 2, figsize=(12, 7.4))
    three_forms(axes[0, 0])
    vectors(axes[0, 1])
    dip(axes[1, 0])
    flat_saddle(axes[1, 1])
    figure.suptitle("Momentum: what it remembers, and where that helps")
    save(figure, options.out, "momentum")


if __name__ == "__main__":
    main()
