"""Training with fewer bytes: states in sixteen or eight bits, weights in bfloat16, against float32.

    python examples/fewer_bytes.py [--quick] [--out DIRECTORY]

Three problems: handwritten digits, a small transformer that reads the reference of Python's own help() letter
by letter (this one needs PyTorch, whose gradients it takes; it is left out where there is none), and 4,096
noisy quadratics of curvatures from 1e-4 to 1 over 10^5 steps at a constant rate, where drift would show.
Every form starts each seed from the same weights and sees the same batches. Prints the final losses, writes
fewer_bytes.png.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from common import COLOURS, parser, plt, save
from handwriting import standardised

import fastopt
from fastopt.train import MLP
from fastopt.train.blas import limited

Array = np.ndarray[Any, np.dtype[Any]]
#: Evaluates at the weights that the model reads: a loss to follow, and gradients.
Problem = tuple[list[Array], Callable[[int], tuple[float, list[Array]]], Callable[[], float]]

#: By name, so that tensors below 4,096 elements have codes too; `state_dtype="int8"` leaves those alone.
CODES = {"exp_avg": "int8", "exp_avg_sq": "int8"}


class Form(NamedTuple):
    """Bytes of a weight, its remainder and two states; whether weights are bfloat16; the keywords."""

    bytes: float
    half: bool
    options: dict[str, Any]


FORMS = {
    "float32": Form(12, False, {}),
    "states bfloat16": Form(8, False, {"state_dtype": "bfloat16"}),
    "states int8": Form(6.125, False, {"state_dtype": CODES}),
    "weights bfloat16, nearest": Form(10, True, {}),
    "stochastic": Form(10, True, {"rounding": "stochastic"}),
    "kahan": Form(12, True, {"rounding": "kahan"}),
    "split16 + int8": Form(6.125, True, {"master": "split16", "state_dtype": CODES}),
    "split8 + int8": Form(5.125, True, {"master": "split8", "state_dtype": CODES}),
    "stochastic + int8": Form(4.125, True, {"rounding": "stochastic", "state_dtype": CODES}),
}
STYLES = dict(zip(FORMS, ["#444444", *COLOURS], strict=True))


def narrow(x: Array) -> Array:
    """Bit patterns of the nearest bfloat16."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)).astype(
        np.uint16
    )


def widen(bits: Array) -> Array:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def train(
    problem: Problem, form: Form, steps: int, rate: Any, seed: int, **options: Any
) -> tuple[Array, float]:
    """The losses of all steps and of the end. The model computes in float32 on what the form keeps."""
    weights, gradients, final = problem
    kept = [narrow(w) for w in weights] if form.half else weights
    optimizer = fastopt.AdamW(kept, lr=rate, seed=seed, dtype="bfloat16", **form.options, **options)
    losses = np.zeros(steps)
    for i in range(steps):
        if form.half:
            for w, bits in zip(weights, kept, strict=True):
                w[...] = widen(bits)
        losses[i], found = gradients(i)
        optimizer.step([narrow(g) for g in found] if form.half else found)
    if form.half:
        for w, bits in zip(weights, kept, strict=True):
            w[...] = widen(bits)
    return losses, final()


def handwriting(seed: int, steps: int) -> Problem:
    x, t = standardised()
    model = MLP([64, 128, 64, 10], rng=np.random.default_rng(seed))
    batches = fastopt.batches(x, t, batch_size=64, epochs=1 + steps // 28, seed=seed)
    return (
        model.parameters,
        lambda i: model.loss_and_gradients(*next(batches)),
        lambda: float(model.loss(x, t)),
    )


WIDTH, LENGTH, ROWS = 64, 64, 8


def text(seed: int, steps: int) -> Problem:
    """A transformer of two layers; the last tenth of the text is held out."""
    from pydoc_data.topics import topics

    import torch
    from torch import nn

    torch.manual_seed(seed)
    letters = torch.frombuffer(
        bytearray("\n".join(text for _, text in sorted(topics.items())).encode("ascii", "replace")),
        dtype=torch.uint8,
    ).long()
    cut = len(letters) * 9 // 10

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.letters, self.places = nn.Embedding(128, WIDTH), nn.Embedding(LENGTH, WIDTH)
            layer = nn.TransformerEncoderLayer(
                WIDTH, 4, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, 128)
            for p in self.parameters():
                if p.dim() > 1:
                    nn.init.normal_(p, std=0.05)

        def forward(self, rows: Any) -> Any:
            mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
            x = self.letters(rows[:, :-1]) + self.places.weight
            z = self.head(self.blocks(x, mask=mask, is_causal=True))
            return nn.functional.cross_entropy(z.flatten(0, 1), rows[:, 1:].flatten())

    model = Model()
    batches = torch.Generator().manual_seed(seed)

    def rows(begins: Any) -> Any:
        return letters[begins[:, None] + torch.arange(LENGTH + 1)]

    def gradients(i: int) -> tuple[float, list[Array]]:
        model.zero_grad()
        loss = model(rows(torch.randint(0, cut - LENGTH - 1, (ROWS,), generator=batches)))
        loss.backward()
        return loss.item(), [p.grad.numpy() for p in model.parameters() if p.grad is not None]

    def final() -> float:
        with torch.no_grad():
            return float(model(rows(torch.arange(cut, len(letters) - LENGTH - 1, LENGTH))))

    return [p.detach().numpy() for p in model.parameters()], gradients, final


def quadratics(seed: int, steps: int) -> Problem:
    """Gradients with noise; the loss is the mean of curvature times distance squared."""
    rng = np.random.default_rng(seed)
    curvature = (10.0 ** rng.uniform(-4, 0, 4096)).astype(np.float32)
    lowest = (1 + rng.normal(size=4096)).astype(np.float32)
    noise = np.sqrt(curvature) * np.float32(0.3)
    w = np.zeros(4096, np.float32)
    last: list[float] = []

    def gradients(i: int) -> tuple[float, list[Array]]:
        slope = curvature * (w - lowest)
        loss = float(slope @ (w - lowest)) / 4096
        if i >= steps * 9 // 10:
            last.append(loss)
        return loss, [slope + noise * rng.standard_normal(4096, dtype=np.float32)]

    return [w], gradients, lambda: float(np.mean(last))


class Task(NamedTuple):
    title: str
    make: Callable[[int, int], Problem]
    steps: int
    seeds: int
    rate: float
    falls: bool  # by a cosine to nothing
    options: dict[str, Any]
    measured: str


def tasks(quick: bool) -> Iterator[Task]:
    yield Task(
        "digits, 17,226 parameters", handwriting, 400 if quick else 2000, 2 if quick else 5, 1e-3, True, {},
        "training loss at the end",
    )  # fmt: skip
    try:
        import torch
    except ImportError:
        print("no PyTorch here: the transformer is left out")
    else:
        torch.set_num_threads(1)
        yield Task(
            "letters, 120,576 parameters", text, 60 if quick else 1000, 2 if quick else 5, 2e-3, True,
            {"weight_decay": 0.1, "betas": (0.9, 0.99), "clip_norm": 1.0}, "loss on held-out text",
        )  # fmt: skip
    yield Task(
        "4,096 noisy quadratics, constant rate", quadratics, 5000 if quick else 100_000, 1 if quick else 3,
        1e-3, False, {"weight_decay": 0.0}, "mean loss of the last tenth",
    )  # fmt: skip


def run(task: Task, form: Form) -> tuple[Array, Array]:
    rate: Any = fastopt.schedules.cosine(task.rate, total=task.steps) if task.falls else task.rate
    found = [
        train(task.make(seed, task.steps), form, task.steps, rate, seed, **task.options)
        for seed in range(task.seeds)
    ]
    return np.mean([losses for losses, _ in found], axis=0), np.array([end for _, end in found])


def draw(axes: Any, task: Task, curves: dict[str, Array], ends: dict[str, Array]) -> None:
    """Losses, losses as a share of float32's, and where each seed ends; far misses in numbers."""
    edges = np.unique(np.geomspace(1, task.steps, 60).astype(int))
    mean = {n: np.add.reduceat(c[1:], edges[:-1] - 1) / np.diff(edges) for n, c in curves.items()}
    base, start = ends["float32"], edges[1:]
    for name, curve in mean.items():
        style = {"color": STYLES[name], "lw": 3 if name == "float32" else 1.1, "label": name}
        axes[0].plot(start, curve, **style)
        axes[1].plot(start, 100 * (curve / mean["float32"] - 1), **style)
    axes[0].set(title=task.title, xlabel="step", ylabel="loss, mean of the seeds", xscale="log")
    axes[0].set_yscale("log" if mean["float32"].max() > 10 * mean["float32"].min() else "linear")
    axes[1].set(title="the same beside float32's", xlabel="step", ylabel="%", xscale="log", ylim=(-15, 15))
    axes[2].axvspan(100 * (base.min() / base.mean() - 1), 100 * (base.max() / base.mean() - 1), color="0.9")
    limit = 20 + 150 * np.ptp(base) / base.mean()
    for row, (name, values) in enumerate(ends.items()):
        apart = 100 * (values / base.mean() - 1)
        near = apart[np.abs(apart) < limit]
        axes[2].plot(near, np.full(len(near), row), "o", ms=4, color=STYLES[name])
        if len(near) < len(apart):
            far = f"{1 + apart.mean() / 100:,.1f} times "
            axes[2].text(limit, row, far, ha="right", va="center", color=STYLES[name])
    axes[2].set_yticks(range(len(ends)), [f"{name}, {FORMS[name].bytes:g} B" for name in ends])
    axes[2].set(title=f"{task.measured}\n(grey: float32's seeds)", xlabel="%", xlim=(-limit, limit))
    axes[2].set_ylim(len(ends) - 0.5, -0.5)


def report(task: Task, ends: dict[str, Array]) -> None:
    """Means, the spread over seeds, and how far from float32 with the same seed and batches."""
    print(f"\n{task.title}: {task.measured}, {task.seeds} seeds of {task.steps} steps")
    print(f"{'':27}{'bytes':>7}{'mean':>11}{'spread':>10}{'beside float32':>16}")
    for name, values in ends.items():
        apart = np.mean(values / ends["float32"]) - 1
        print(
            f"{name:27}{FORMS[name].bytes:7.3f}{values.mean():11.4g}{np.ptp(values):10.2g}{apart:+16.1%}",
            flush=True,
        )


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--quick", action="store_true", help="few steps and seeds")
    options = p.parse_args()
    with limited(1):
        chosen = list(tasks(options.quick))
        figure, axes = plt.subplots(len(chosen), 3, figsize=(13, 3.5 * len(chosen)), squeeze=False)
        for row, task in zip(axes, chosen, strict=True):
            found = {name: run(task, form) for name, form in FORMS.items()}
            ends = {name: end for name, (_, end) in found.items()}
            report(task, ends)
            draw(row, task, {name: curve for name, (curve, _) in found.items()}, ends)
    axes[0, 0].legend(loc="lower left")
    figure.suptitle("AdamW in fewer bytes: weight, remainder and states of one parameter")
    save(figure, options.out, "fewer_bytes")


if __name__ == "__main__":
    main()
