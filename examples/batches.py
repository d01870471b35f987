"""Small batches against large ones: time, noise, accuracy, and how sharp the minimum is.

    python examples/batches.py [--out DIRECTORY]

Writes batches.png: time per update and per epoch; the noise of the gradient; training and test loss at equal
training loss; the curvature at the minima found (Hessian of the whole training loss, by exact Hessian-vector
products); and that a critical point of one batch's loss is none of the next's.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from handwriting import Array, standardised

import fastopt
from fastopt.linalg import eigsh
from fastopt.train import MLP, Objective
from fastopt.train.blas import limited

SIZES = [8, 32, 128, 512, 1024]
TARGET = 0.02  # training loss at which runs are compared
SEEDS = 5


def data() -> tuple[Array, Array, Array, Array]:
    """The digits with noise, so that there are test errors to tell apart: 1,024 for training, 773 to test."""
    x, t = standardised()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(x))
    x, t = (x + np.asarray(rng.normal(0, 1.0, x.shape), np.float32))[order], t[order]
    return x[:1024], t[:1024], x[1024:], t[1024:]


def run(batch: int, x: Array, t: Array, seed: int) -> MLP:
    """Train until the loss of all training data is TARGET, with lr proportional to the root of the batch."""
    model = MLP([64, 32, 10], rng=np.random.default_rng(seed))
    optimizer = fastopt.SGD(model.parameters, lr=0.05 * np.sqrt(batch / 8), momentum=0.5)
    batches = fastopt.batches(x, t, batch_size=batch, epochs=2000, seed=seed, drop_last=True)
    for update, (xb, tb) in enumerate(batches, start=1):
        optimizer.step(model.loss_and_gradients(xb, tb)[1])
        if update % (1024 // batch) == 0 and model.loss(x, t) < TARGET:
            break
    return model


def speed(axis: Any, x: Array, t: Array) -> None:
    model = MLP([64, 256, 256, 10], rng=np.random.default_rng(0))
    optimizer = fastopt.SGD(model.parameters, lr=0.0)
    sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
    update = []
    for size in sizes:
        samples = []
        for _ in range(max(5, 200 // size)):
            start = time.perf_counter()
            optimizer.step(model.loss_and_gradients(x[:size], t[:size])[1])
            samples.append(time.perf_counter() - start)
        update.append(float(np.median(samples)))
    epoch = [u * 1024 / s for u, s in zip(update, sizes, strict=True)]
    axis.loglog(sizes, np.array(update) * 1e3, "o-", label="one update")
    axis.loglog(sizes, np.array(epoch) * 1e3, "o-", label="one epoch of 1,024 examples")
    axis.set(title="Time", xlabel="batch", ylabel="milliseconds")
    axis.legend()


def noise(axis: Any, model: MLP, x: Array, t: Array) -> None:
    """How far the gradient of a batch is from that of all examples, before training."""
    whole = np.concatenate([g.reshape(-1).copy() for g in model.loss_and_gradients(x, t)[1]])
    rng = np.random.default_rng(0)
    errors = []
    for size in SIZES[:-1]:
        distances = []
        for _ in range(30):
            rows = rng.choice(len(x), size, replace=False)
            g = np.concatenate([g.reshape(-1) for g in model.loss_and_gradients(x[rows], t[rows])[1]])
            distances.append(np.linalg.norm(g - whole) / np.linalg.norm(whole))
        errors.append(np.mean(distances))
    axis.loglog(SIZES[:-1], errors, "o-", label="measured")
    axis.loglog(
        SIZES[:-1],
        errors[0] * np.sqrt(SIZES[0] / np.array(SIZES[:-1])),
        "--",
        color="0.5",
        label="1 / sqrt(batch)",
    )
    axis.set(title="Noise of the gradient", xlabel="batch", ylabel="distance / |gradient|")
    axis.legend()


def compare(axes: list[Any], x: Array, t: Array, x_test: Array, t_test: Array) -> None:
    """Runs of equal training loss: test accuracy, and the extreme eigenvalues of the Hessian."""
    accuracy: dict[int, list[tuple[float, float]]] = {}
    sharpest: dict[int, list[float]] = {}
    spectra: dict[int, Array] = {}
    for size in SIZES:
        for seed in range(SEEDS):
            model = run(size, x, t, seed)
            right = [
                float(np.mean(model.predict(a).argmax(1) == b.argmax(1)))
                for a, b in ((x, t), (x_test, t_test))
            ]
            accuracy.setdefault(size, []).append((right[0], right[1]))
            objective = Objective(model, x, t)
            found = eigsh(lambda v, o=objective: o.hvp(o.theta, v), 20, n=objective.n, which="LA", tol=1e-3)
            sharpest.setdefault(size, []).append(float(found.eigenvalues[-1]))
            spectra.setdefault(size, found.eigenvalues[::-1])
    for i, name in enumerate(("training", "test")):
        values = np.array([[a[i] for a in accuracy[size]] for size in SIZES])
        axes[0].errorbar(SIZES, 100 * values.mean(1), 100 * values.std(1), fmt="o-", capsize=3, label=name)
    axes[0].set(
        title=f"Accuracy at equal training loss {TARGET}", xlabel="batch", ylabel="% right", xscale="log"
    )
    axes[0].legend(loc="center right")
    values = np.array([sharpest[size] for size in SIZES])
    axes[1].errorbar(SIZES, values.mean(1), values.std(1), fmt="o-", capsize=3, color=COLOURS[2])
    axes[1].set(title="Sharpness of the minima", xlabel="batch", ylabel="largest eigenvalue", xscale="log")
    for size, values in spectra.items():
        axes[2].semilogy(range(1, 21), np.maximum(values, 1e-6), "o-", ms=3, label=f"batch {size}")
    axes[2].set(title="The 20 largest eigenvalues of the Hessian", xlabel="rank", ylabel="eigenvalue")
    axes[2].legend()


def another_batch(axis: Any, x: Array, t: Array) -> None:
    """Full descent on one batch to a critical point of its loss: the gradient of other batches there."""
    model = MLP([64, 16, 10], rng=np.random.default_rng(0), activation="tanh", dtype=np.float64)
    first = Objective(model, x[:64].astype(float), t[:64].astype(float), l2=1e-3)
    end = fastopt.minimize(first.value, first.gradient, first.theta, "l-bfgs", gtol=1e-8, ftol=0.0)
    norms = []
    for start in range(0, 1024, 64):
        rows = slice(start, start + 64)
        other = Objective(model, x[rows].astype(float), t[rows].astype(float), l2=1e-3)
        norms.append(np.linalg.norm(other.gradient(end.x)))
    axis.bar(range(1, 17), norms, color=[COLOURS[0]] + [COLOURS[1]] * 15)
    axis.set(
        title="At a critical point of batch 1's loss", xlabel="batch of 64", ylabel="|gradient|", yscale="log"
    )


def main() -> None:
    out = parser(__doc__).parse_args().out
    x, t, x_test, t_test = data()
    with limited(1):
        figure, axes = plt.subplots(2, 3, figsize=(12, 7))
        speed(axes[0, 0], x, t)
        noise(axes[0, 1], MLP([64, 32, 10], rng=np.random.default_rng(0)), x, t)
        another_batch(axes[0, 2], x, t)
        compare(list(axes[1]), x, t, x_test, t_test)
        figure.suptitle("Small batches against large ones (mean and deviation of five runs)")
        save(figure, out, "batches")


if __name__ == "__main__":
    main()
