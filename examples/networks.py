"""What happens inside a network: activations, vanishing gradients, losses, initialisation, clipping.

    python examples/networks.py [--out DIRECTORY]

Writes networks.png (activations with their derivatives, gradients per layer for 2 to 20 layers, sigmoid with
squared error against cross-entropy) and starting.png (initialisations, clipping, bias correction).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import COLOURS, parser, plt, save
from handwriting import Array, standardised

import fastopt
from fastopt.train import MLP
from fastopt.train.activations import ACTIVATIONS, sigmoid
from fastopt.train.blas import limited
from fastopt.train.initialise import InitName


def activations(axis: Any) -> None:
    z = np.linspace(-5, 5, 401)
    for colour, (name, a) in zip(COLOURS, ACTIVATIONS.items(), strict=False):
        value = a.value(z)
        axis.plot(z, value, color=colour, label=name)
        axis.plot(z, a.derivative(value), color=colour, ls="--", lw=1)
    axis.plot([], [], color="0.4", ls="--", lw=1, label="derivatives")
    axis.set(title="Activations", xlabel="z", ylim=(-1.1, 2.2))
    axis.legend()


def layers(axes: list[Any], x: Array, t: Array) -> None:
    """The norm of each layer's weight gradient, before any training."""
    kinds: dict[str, dict[str, Any]] = {
        "sigmoid": {"activation": "sigmoid"},
        "relu, randn 0.02": {"activation": "relu", "init": "randn"},
        "relu, He": {"activation": "relu"},
        "relu, randn 0.02, residual": {"activation": "relu", "init": "randn", "residual": True},
        "sigmoid, batch norm": {"activation": "sigmoid", "batch_norm": True},
    }
    depths = [2, 3, 5, 8, 12, 16, 20]
    for name, options in kinds.items():
        firsts = []
        for depth in depths:
            model = MLP([64] * depth + [10], rng=np.random.default_rng(0), dtype=np.float64, **options)
            model.loss_and_gradients(x[:256].astype(float), t[:256].astype(float))
            norms = [
                float(np.linalg.norm(g))
                for n, g in zip(model.names, model.gradients, strict=True)
                if n.endswith(".weight")
            ]
            firsts.append(norms[0] / norms[-1])
        axes[0].semilogy(range(1, len(norms) + 1), norms, "o-", ms=3, label=name)
        axes[1].semilogy(depths, firsts, "o-", ms=3, label=name)
    axes[0].set(title="20 layers: gradient of each", xlabel="layer", ylabel="norm of the weight's gradient")
    axes[1].set(title="First layer's gradient over the last's", xlabel="layers")
    axes[0].legend(fontsize=7, loc="center left")


def saturated(axes: list[Any]) -> None:
    """One neuron that is certain of the wrong answer: z = -8 while the target is 1."""
    z = np.linspace(-10, 4, 300)
    p = sigmoid(z)
    axes[0].semilogy(z, np.abs((p - 1) * p * (1 - p)), label="sigmoid + squared error")
    axes[0].semilogy(z, np.abs(p - 1), label="sigmoid + cross-entropy")
    axes[0].axvline(-8, color="0.6", lw=0.8)
    at = sigmoid(np.array([-8.0]))[0]
    text = f"at z = -8: {(1 - at) * at * (1 - at):.1e} against {1 - at:.2f}"
    axes[0].annotate(
        text, (-8, 6e-4), (-5.4, 1.5e-4), arrowprops={"arrowstyle": "->", "color": "0.4"}, fontsize=8
    )
    axes[0].set(title="Gradient of the loss, target 1", xlabel="z", ylabel="|dL/dz|", ylim=(1e-5, 3))
    axes[0].legend(loc="lower right")
    for name, error in (("squared error", True), ("cross-entropy", False)):
        w, path = np.array([-8.0]), []
        optimizer = fastopt.SGD([w], lr=1.0)
        for _ in range(400):
            p = sigmoid(w)
            path.append(p[0])
            optimizer.step([(p - 1) * p * (1 - p) if error else p - 1])
        axes[1].plot(path, label=f"sigmoid + {name}")
    axes[1].set(title="Descent from z = -8, lr 1", xlabel="step", ylabel="output (target 1)")
    axes[1].legend()


def train(model: MLP, x: Array, t: Array, steps: int, lr: float, **options: Any) -> list[float]:
    optimizer = fastopt.SGD(model.parameters, lr=lr, momentum=0.9, **options)
    losses = []
    for i, (xb, tb) in enumerate(fastopt.batches(x, t, batch_size=64, epochs=1000, seed=0)):
        if i == steps:
            break
        loss, gradients = model.loss_and_gradients(xb, tb)
        optimizer.step(gradients)
        losses.append(min(loss, 1e6) if np.isfinite(loss) else 1e6)
    return losses


def smooth(values: list[float]) -> Array:
    return fastopt.ewma(np.array(values), beta=0.9)


def initialisations(axis: Any, x: Array, t: Array) -> None:
    schemes: dict[str, tuple[InitName, dict[str, float]]] = {
        "randn 0.02": ("randn", {}),
        "0.1 / sqrt(width)": ("scaled", {"s": 0.1}),
        "1 / sqrt(width)": ("scaled", {"s": 1.0}),
        "uniform": ("uniform", {}),
        "Xavier": ("xavier", {}),
        "He": ("he", {}),
    }
    for name, (scheme, options) in schemes.items():
        model = MLP([64] + [48] * 6 + [10], rng=np.random.default_rng(1), init=scheme, init_options=options)
        axis.plot(smooth(train(model, x, t, 400, 0.01)), lw=1.2, label=name)
    axis.set(
        title="Seven layers of ReLU: initialisations", xlabel="step", ylabel="training loss", ylim=(0, 2.6)
    )
    axis.legend()


def clipping(axis: Any, x: Array, t: Array) -> None:
    for name, options in (("no clipping", {}), ("clip_norm = 1", {"clip_norm": 1.0})):
        model = MLP(
            [64, 64, 64, 64, 10], rng=np.random.default_rng(2), init="scaled", init_options={"s": 3.0}
        )
        axis.semilogy(smooth(train(model, x, t, 300, 0.05, **options)), lw=1.2, label=name)
    axis.set(title="Too large a start: clipping", xlabel="step", ylabel="training loss")
    axis.legend()


def bias_correction(axis: Any) -> None:
    rng = np.random.default_rng(0)
    values = 1.0 + 0.15 * rng.normal(size=150)
    axis.plot(values, ".", color="0.8")
    v, plain, corrected = 0.0, [], []
    for k, x in enumerate(values, start=1):
        v = 0.98 * v + 0.02 * x
        plain.append(v)
        corrected.append(v / (1 - 0.98**k))
    axis.plot(plain, label="v = 0.98 v + 0.02 x")
    axis.plot(corrected, label="v / (1 - 0.98$^t$)")
    axis.set(title="Moving averages: bias correction", xlabel="t", ylim=(0, 1.5))
    axis.legend(loc="lower right")


def main() -> None:
    out = parser(__doc__).parse_args().out
    x, t = standardised()
    with limited(1):
        figure, axes = plt.subplots(2, 3, figsize=(12, 7))
        activations(axes[0, 0])
        layers([axes[0, 1], axes[0, 2]], x, t)
        saturated([axes[1, 0], axes[1, 1]])
        bias_correction(axes[1, 2])
        figure.suptitle("Where gradients vanish, and what keeps them alive")
        save(figure, out, "networks")
        figure, axes = plt.subplots(1, 2, figsize=(12, 3.8))
        initialisations(axes[0], x, t)
        clipping(axes[1], x, t)
        figure.suptitle("How a network starts")
        save(figure, out, "starting")


if __name__ == "__main__":
    main()
