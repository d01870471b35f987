"""Why a minimum in few dimensions becomes a saddle in more: y = w1 w2 x with one datum (1, 1).

The loss L = (1 - w1 w2)^2 of the smallest network with a hidden unit has a saddle at the origin and a valley
w1 w2 = 1 of perfect fits. Along (1, -1) the origin looks like a minimum, (1 + t^2)^2; along (1, 1) like a
maximum, (1 - t^2)^2. fastopt tells which it is, and leaves it.

Writes saddle.png.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from matplotlib.colors import LogNorm

import fastopt

BLUE, RED = COLOURS[:2]
MARKERS = "oDs"


def loss(w: np.ndarray) -> float:
    return float((1 - w[0] * w[1]) ** 2)


def gradient(w: np.ndarray) -> np.ndarray:
    return -2 * (1 - w[0] * w[1]) * w[::-1]


def hessian(w: np.ndarray) -> np.ndarray:
    mixed = -2 + 4 * w[0] * w[1]
    return np.array([[2 * w[1] ** 2, mixed], [mixed, 2 * w[0] ** 2]])


def descend(w: np.ndarray, steps: int = 60, lr: float = 0.06) -> np.ndarray:
    """The way of gradient descent, steps + 1 points."""
    path = [w.copy()]
    optimizer = fastopt.SGD([w], lr=lr)
    for _ in range(steps):
        optimizer.step([gradient(w)])
        path.append(w.copy())
    return np.array(path)


def main() -> None:
    args = parser(__doc__).parse_args()
    origin = np.zeros(2)
    points = {
        "origin": np.zeros(2),
        "valley": np.array([1.0, 1.0]),
        "beside the valley": np.array([1.8, 0.6]),
    }
    verdicts = {}
    for name, w in points.items():
        verdicts[name] = fastopt.critical_point(gradient, w, hessian=hessian, f=loss)
        print(f"{name}, w = {w}\n{verdicts[name]}\n")
    jump = fastopt.escape(loss, gradient, origin, hessian=hessian)
    print(jump)
    # On the line w2 = -w1 the gradient points along the line: descent walks into the saddle and stays.
    stuck = descend(np.array([1.6, -1.6]))
    path = np.vstack([origin, descend(jump.x)])
    print(f"\ndescent from (1.6, -1.6) ends at {stuck[-1]}, with loss {loss(stuck[-1]):.6f}")
    print(f"escape and descent end at {path[-1]}, with loss {loss(path[-1]):.1e}")
    save(draw(points, verdicts, stuck, path), args.out, "saddle")


def draw(points: dict[str, Any], verdicts: dict[str, Any], stuck: np.ndarray, path: np.ndarray) -> Any:
    figure = plt.figure(figsize=(12.6, 6.6))
    grid = figure.add_gridspec(2, 3, width_ratios=[1.75, 1, 1])
    map_of_loss(figure.add_subplot(grid[:, 0]), points, stuck, path)
    section(figure.add_subplot(grid[0, 1]), RED, +1, r"along $(1, -1)$ a minimum: $(1 + t^2)^2$")
    section(figure.add_subplot(grid[0, 2]), BLUE, -1, r"along $(1, 1)$ a maximum: $(1 - t^2)^2$")
    surface(figure.add_subplot(grid[1, 1], projection="3d"), stuck, path)
    words(figure.add_subplot(grid[1, 2]), points, verdicts)
    figure.suptitle(
        r"The smallest network that has a saddle: $y = w_1 w_2 x$, one datum $(1, 1)$, $L = (1 - w_1 w_2)^2$"
    )
    return figure


def map_of_loss(ax: Any, points: dict[str, Any], stuck: np.ndarray, path: np.ndarray) -> None:
    side = np.linspace(-2, 2, 401)
    w1, w2 = np.meshgrid(side, side)
    levels = np.geomspace(2e-2, 25, 19)
    values = np.clip((1 - w1 * w2) ** 2, levels[0], levels[-1])
    ax.contourf(w1, w2, values, levels, norm=LogNorm(), cmap="viridis")
    t = np.linspace(0.5, 2, 100)
    for sign in (1, -1):
        ax.plot(sign * t, sign / t, color="white", lw=2)
    ax.text(-1.95, -1.4, r"valley $w_1 w_2 = 1$: $L = 0$", color="white", rotation=-38, fontsize=9)
    ax.plot(*stuck.T, ".-", color=RED, lw=1.8, ms=6, label="descent on the ridge ends in the saddle")
    ax.plot(*path.T, ".-", color="white", lw=1.8, ms=6, label="fastopt.escape, then descent")
    for (x, y), value in zip(((-1, 1), (-1, -1)), ("+2", "-2"), strict=True):
        arrow = {"arrowstyle": "-|>", "color": "black", "lw": 1.8}
        ax.annotate("", (0.55 * x, 0.55 * y), (0, 0), arrowprops=arrow)
        ax.text(0.66 * x, 0.66 * y, value, ha="center", va="center", fontsize=12, weight="bold")
    for name, marker in zip(points, MARKERS, strict=True):
        ax.plot(*points[name], marker, color="white", mec="black", ms=9, zorder=5)
    ax.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(-2, 2), ylim=(-2, 2), aspect="equal")
    ax.set_title("loss (dark is low); arrows: eigenvectors at the origin")
    ax.grid(False)
    ax.legend(
        loc="upper left", fontsize=9, frameon=True, facecolor="#9fb8a5", framealpha=0.9, edgecolor="none"
    )


def section(ax: Any, colour: str, sign: int, title: str) -> None:
    t = np.linspace(-1.5, 1.5, 201)
    ax.plot(
        t,
        (1 + sign * t**2) ** 2,
        color=colour,
        lw=2.4,
        label=r"$L(t\,(1, -1))$" if sign > 0 else r"$L(t\,(1, 1))$",
    )
    ax.plot(
        t, 1 + 2 * sign * t**2, color="black", lw=1.2, ls=(0, (5, 3)), label=r"$L_0 + \frac{1}{2} v^T H v$"
    )
    ax.plot(0, 1, "o", color="white", mec="black", ms=8, zorder=5)
    ax.set(title=title, xlabel="t", ylim=(-0.3, 4), xlim=(-1.5, 1.5))
    ax.legend(loc="upper center")


def surface(ax: Any, stuck: np.ndarray, path: np.ndarray) -> None:
    side = np.linspace(-1.45, 1.45, 59)
    w1, w2 = np.meshgrid(side, side)
    height = np.where((1 - w1 * w2) ** 2 <= 5, (1 - w1 * w2) ** 2, np.nan)
    norm = LogNorm(0.02, 25, clip=True)
    ax.plot_surface(w1, w2, height, cmap="viridis", norm=norm, lw=0, alpha=0.7, rcount=59, ccount=59)
    for points, colour in ((stuck, RED), (path, "black")):
        z = np.array([loss(w) for w in points])
        keep = z < 5
        ax.plot(*points[keep].T, z[keep], color=colour, lw=2.4, zorder=10)
    ax.plot([0], [0], [1], "o", color="white", mec="black", ms=7, zorder=11)
    ax.view_init(30, -15)
    ax.set(xlabel="$w_1$", ylabel="$w_2$", zlim=(0, 5), zticks=[0, 1, 2, 3, 4, 5])
    ax.set_box_aspect((1, 1, 0.75), zoom=1.05)
    ax.set_title("the same as a surface")
    ax.tick_params(labelsize=7, pad=-2)


def words(ax: Any, points: dict[str, Any], verdicts: dict[str, Any]) -> None:
    """What fastopt.critical_point says."""
    ax.axis("off")
    y = 0.93
    for (name, w), marker in zip(points.items(), MARKERS, strict=True):
        point = verdicts[name]
        values = ", ".join(f"{v:.3g}" if abs(v) > point.tolerance else "0" for v in point.eigenvalues)
        low, high = point.min_ratio
        ratio = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        lines = f"{name}, ({w[0]:g}, {w[1]:g})\neigenvalues {values}\n"
        lines += f"minimum ratio {ratio}, |g| = {point.gradient_norm:.2g}"
        place = {"transform": ax.transAxes, "clip_on": False}
        ax.plot(0.02, y, marker, color="white", mec="black", ms=9, **place)
        ax.text(0.09, y, point.kind, va="center", weight="bold", fontsize=11, **place)
        ax.text(0.09, y - 0.055, lines, va="top", fontsize=9, linespacing=1.4, **place)
        y -= 0.35
    ax.set_title("fastopt.critical_point says", loc="left")


if __name__ == "__main__":
    main()
