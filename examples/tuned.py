"""Which rule, if each is tuned alike? The newer rules beside the old ones, with the same small search.

    python examples/tuned.py [--quick] [--out DIRECTORY]

Two problems: handwritten digits (loss on the half that was not trained on), and a small transformer that
reads the reference of Python's own help() letter by letter (loss on held-out text; needs PyTorch, whose
gradients it takes). For each rule the same search on one seed: its rate of comparison times 1/9, 1/3, 1, 3
and 9, and on in steps of three while the best is at an end. Then three other seeds at the best rate. Rates
fall by a cosine, those of Schedule-Free are constant after a warm-up, as it is meant. Nothing else is tuned.
Prints a table, writes tuned.png.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from common import COLOURS, parser, plt, save
from fewer_bytes import Array, Problem, text
from handwriting import standardised

import fastopt
from fastopt.train import MLP
from fastopt.train.blas import limited

#: What every rule is given; the rate is multiplied in the search.
DECAY = 0.1
RULES: dict[str, dict[str, Any]] = {
    "SGD, momentum 0.9": {"class": "SGD", "momentum": 0.9, "decoupled_weight_decay": True},
    "AdamW": {"class": "AdamW"},
    "NAdam": {"class": "NAdam", "decoupled_weight_decay": True},
    "Lion": {"class": "Lion"},
    "LAMB": {"class": "LAMB"},
    "cautious AdamW": {"class": "AdamW", "cautious": True},
    "AdEMAMix": {"class": "AdEMAMix"},
    "ADOPT": {"class": "ADOPT", "decoupled_weight_decay": True},
    "MARS": {"class": "MARS"},
    "Prodigy": {"class": "Prodigy", "lr": 1.0},
    "Schedule-Free AdamW": {"class": "ScheduleFreeAdamW"},
    "Muon": {"class": "Muon"},
    "SOAP": {"class": "SOAP"},
    "Kron": {"class": "Kron"},
    "Adafactor": {"class": "Adafactor"},
}
FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)


class Task(NamedTuple):
    title: str
    make: Callable[[int, int], Problem]
    steps: int
    seeds: int
    measured: str


def handwriting(seed: int, steps: int) -> Problem:
    """A perceptron on one half of the digits, judged on the other."""
    x, t = standardised()
    mine = np.random.default_rng(0).permutation(len(x)) < len(x) // 2
    model = MLP([64, 128, 64, 10], rng=np.random.default_rng(seed))
    batches = fastopt.batches(x[mine], t[mine], batch_size=64, epochs=1 + steps // 14, seed=seed)
    return (
        model.parameters,
        lambda i: model.loss_and_gradients(*next(batches)),
        lambda: float(model.loss(x[~mine], t[~mine])),
    )


def tasks(quick: bool) -> Iterator[Task]:
    steps, seeds = (60, 1) if quick else (600, 3)
    yield Task("digits, 17,226 parameters", handwriting, steps, seeds, "loss on the other half")
    try:
        import torch
    except ImportError:
        print("no PyTorch here: the transformer is left out")
        return
    torch.set_num_threads(1)
    yield Task("letters, 120,576 parameters", text, steps, seeds, "loss on held-out text")


def rate_of_comparison(options: dict[str, Any]) -> float:
    cls = getattr(fastopt, options["class"])
    return float(options.get("lr", cls.rule.comparison_lr))


def train(task: Task, options: dict[str, Any], rate: float, seed: int) -> float:
    """The loss at the end; infinite where training diverged."""
    weights, gradients, final = task.make(seed, task.steps)
    own = {key: value for key, value in options.items() if key not in ("class", "lr")}
    free = options["class"].startswith("ScheduleFree")
    warmup = task.steps // 20
    schedule: Any = fastopt.schedules.warmup_cosine(rate, warmup=warmup, total=task.steps)
    if free:
        schedule, own["warmup_steps"] = rate, warmup
    optimizer = getattr(fastopt, options["class"])(
        weights, lr=schedule, weight_decay=DECAY, clip_norm=1.0, **own
    )
    for i in range(task.steps):
        loss, found = gradients(i)
        if not np.isfinite(loss):
            return np.inf
        optimizer.step(found)
    if free:
        optimizer.eval()
    end = final()
    return end if np.isfinite(end) else np.inf


def search(task: Task, options: dict[str, Any]) -> dict[float, float]:
    """Losses by rate, on a seed of their own."""
    centre = rate_of_comparison(options)
    factors = FACTORS[1:4] if task.steps < 100 else FACTORS
    found = {centre * f: train(task, options, centre * f, seed=100) for f in factors}
    for _ in range(3):
        best = min(found, key=found.__getitem__)
        if best not in (min(found), max(found)) or task.steps < 100:
            break
        beyond = best / 3 if best == min(found) else best * 3
        found[beyond] = train(task, options, beyond, seed=100)
    return dict(sorted(found.items()))


def style(name: str) -> dict[str, Any]:
    """A rule's own, the same in every panel."""
    number = list(RULES).index(name)
    return {"color": COLOURS[number % len(COLOURS)], "ls": ("-", "--", ":")[number // len(COLOURS)]}


def draw(axes: Any, task: Task, searches: dict[str, dict[float, float]], ends: dict[str, Array]) -> None:
    """Losses against the rate as a multiple of the best one, and where the other seeds ended."""
    order = sorted(ends, key=lambda name: ends[name].mean())
    best = ends[order[0]].mean()
    for name in RULES:
        rates, losses = np.array(list(searches[name])), np.array(list(searches[name].values()))
        shown = np.where(losses < 2.5 * best, losses, np.nan)
        axes[0].plot(rates / rates[np.argmin(losses)], shown, marker=".", lw=1.2, label=name, **style(name))
    for row, name in enumerate(order):
        axes[1].plot(ends[name], np.full(len(ends[name]), row), "o", ms=5, color=style(name)["color"])
    axes[0].set(title=task.title, xlabel="rate over the best one", ylabel=task.measured, xscale="log")
    axes[1].set_yticks(range(len(order)), order)
    axes[1].set(title="at the best rate, other seeds", xlabel=task.measured)
    axes[1].set_ylim(len(order) - 0.5, -0.5)
    if ends[order[-1]].max() > 2.5 * best:
        axes[1].set_xlim(0.9 * best, 2.5 * best)


def report(results: dict[str, tuple[dict[str, dict[float, float]], dict[str, Array]]]) -> None:
    """Mean over the seeds, half of their range, the rate, and how often it may be too large or too small."""
    print("| rule | " + " | ".join(f"{title}: loss, at lr, range" for title in results) + " |")
    print("|---|" + "---|" * len(results))
    for name in RULES:
        cells = []
        for searches, ends in results.values():
            found = searches[name]
            best = min(found, key=found.__getitem__)
            good = [rate for rate, loss in found.items() if loss <= 1.05 * found[best]]
            mean, half = ends[name].mean(), np.ptp(ends[name]) / 2
            cells.append(f"{mean:.3g} ± {half:.1g}, {best:.2g}, {max(good) / min(good):.0f}x")
        print(f"| {name} | " + " | ".join(cells) + " |")


def main() -> None:
    p = parser(__doc__)
    p.add_argument("--quick", action="store_true", help="few steps, one seed, three rates")
    options = p.parse_args()
    results = {}
    with limited(1):
        chosen = list(tasks(options.quick))
        figure, axes = plt.subplots(len(chosen), 2, figsize=(12, 0.8 + 4.5 * len(chosen)), squeeze=False)
        for row, task in zip(axes, chosen, strict=True):
            searches = {name: search(task, rule) for name, rule in RULES.items()}
            ends = {
                name: np.array(
                    [
                        train(task, rule, min(searches[name], key=searches[name].__getitem__), seed)
                        for seed in range(task.seeds)
                    ]
                )
                for name, rule in RULES.items()
            }
            results[task.title] = searches, ends
            draw(row, task, searches, ends)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, fontsize="small", title="left: rules")
    figure.suptitle("Rules tuned by the same small search: five rates or more on one seed, then three others")
    save(figure, options.out, "tuned")
    report(results)


if __name__ == "__main__":
    main()
