"""Loss surfaces of networks in two dimensions, with the path of training drawn in.

    python examples/surface.py [--out DIRECTORY]

Writes surface.png. Above: the surfaces around trained networks of 20 layers with and without residual
connections, along two random directions whose filters have the norms of the network's own (Li et al.,
"Visualizing the loss landscape of neural nets", NeurIPS 2018). Below: the paths of three rules from one
start, in the plane of the two main directions in which they moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from handwriting import Array, standardised

import fastopt
from fastopt.train import MLP
from fastopt.train.blas import limited


def flat(arrays: list[Array]) -> Array:
    return np.concatenate([a.reshape(-1).astype(float) for a in arrays])


def put(model: MLP, theta: Array) -> None:
    """Write a flat vector into the model's parameters."""
    start = 0
    for p in model.parameters:
        p[...] = theta[start : start + p.size].reshape(p.shape)
        start += p.size


def loss_at(model: MLP, theta: Array, x: Array, t: Array) -> float:
    put(model, theta)
    return min(model.loss(x, t), 1e6)


def train(model: MLP, optimizer: Any, x: Array, t: Array, epochs: int) -> list[Array]:
    path = [flat(model.parameters)]
    for i, (xb, tb) in enumerate(fastopt.batches(x, t, batch_size=64, epochs=epochs, seed=0)):
        optimizer.step(model.loss_and_gradients(xb, tb)[1])
        if i % 4 == 3:
            path.append(flat(model.parameters))
    return path


def filter_normalised(model: MLP, rng: np.random.Generator) -> Array:
    """A random direction: each neuron's incoming weights get the norm that they have in the model."""
    direction = []
    for p in model.parameters:
        d = rng.standard_normal(p.shape)
        if p.ndim == 2:
            d *= np.linalg.norm(p, axis=0) / (np.linalg.norm(d, axis=0) + 1e-12)
        else:
            d *= 0  # biases stay
        direction.append(d)
    return flat(direction)


def surfaces(axes: list[Any], x: Array, t: Array) -> None:
    grid = np.linspace(-1, 1, 31)
    for axis, residual in zip(axes, (False, True), strict=True):
        model = MLP(
            [64] * 20 + [10],
            rng=np.random.default_rng(0),
            residual=residual,
            init="scaled" if residual else "he",
            init_options={"s": 0.4} if residual else None,
        )
        train(model, fastopt.Adam(model.parameters, lr=1e-3), x, t, 40)
        centre, rng = flat(model.parameters), np.random.default_rng(3)
        one, two = filter_normalised(model, rng), filter_normalised(model, rng)
        z = np.array([[loss_at(model, centre + a * one + b * two, x, t) for a in grid] for b in grid])
        z, levels = np.clip(z, 1e-3, 1e3), np.geomspace(1e-3, 1e3, 25)
        drawn = axis.contourf(grid, grid, z, levels=levels, cmap="viridis", norm="log")
        axis.contour(grid, grid, z, levels=levels, colors="white", linewidths=0.3)
        plt.colorbar(drawn, ax=axis, format="%.0e", ticks=np.geomspace(1e-3, 1e3, 7), label="loss")
        axis.plot(0, 0, "*", color="white", ms=10)
        axis.grid(visible=False)
        name = "with residual connections" if residual else "without residual connections"
        axis.set(title=f"20 layers, {name}", xlabel="first direction", ylabel="second direction")


def paths(axes: list[Any], x: Array, t: Array) -> None:
    rules = {
        "SGD": lambda p: fastopt.SGD(p, lr=0.05),
        "momentum": lambda p: fastopt.SGD(p, lr=0.02, momentum=0.9),
        "Adam": lambda p: fastopt.Adam(p, lr=2e-3),
    }
    walked, models = {}, []
    for name, make in rules.items():
        model = MLP([64, 32, 10], rng=np.random.default_rng(1))
        walked[name] = np.array(train(model, make(model.parameters), x, t, 25))
        models.append(model)
    everything = np.concatenate(list(walked.values()))
    mean = everything.mean(0)
    moved = everything - mean
    # The main directions from the small Gram matrix: there are fewer points than parameters.
    values, vectors = fastopt.eigh(moved @ moved.T)
    plane = (moved.T @ vectors[:, -2:]) / np.sqrt(values[-2:])
    share = float(values[-2:].sum()) / float(values.sum())
    places = {name: (w - mean) @ plane for name, w in walked.items()}
    spots = np.concatenate(list(places.values()))
    low, high = spots.min(0), spots.max(0)
    low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
    a, b = np.linspace(low[0], high[0], 33), np.linspace(low[1], high[1], 33)
    model = models[0]
    z = np.array([[loss_at(model, mean + plane @ np.array([i, j]), x, t) for i in a] for j in b])
    axes[0].contour(a, b, z, levels=np.geomspace(z.min(), z.max(), 22), cmap="Greys_r", linewidths=0.8)
    for colour, (name, place) in zip(COLOURS, places.items(), strict=False):
        axes[0].plot(*place.T, ".-", ms=3, lw=1, color=colour, label=name)
        axes[0].plot(*place[-1], "o", ms=8, color=colour)
        losses = [loss_at(model, theta, x, t) for theta in walked[name]]
        axes[1].semilogy(4 * np.arange(len(losses)), losses, color=colour, label=name)
    axes[0].grid(visible=False)
    axes[0].set(title=f"Three paths in their main plane ({100 * share:.0f} % of the movement)")
    axes[0].legend()
    axes[1].set(title="The loss along them", xlabel="step", ylabel="training loss")
    axes[1].legend()


def main() -> None:
    out = parser(__doc__).parse_args().out
    x, t = (a[:512] for a in standardised())
    with limited(1):
        figure, axes = plt.subplots(2, 2, figsize=(12, 8.6))
        surfaces(list(axes[0]), x, t)
        paths(list(axes[1]), x, t)
    figure.suptitle("Loss surfaces, and paths over them")
    save(figure, out, "surface")


if __name__ == "__main__":
    main()
