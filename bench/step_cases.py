"""The cases of the step benchmark. Each yields rows: "case", "ours_us", "peer_us", "ratio", "of_floor", ...

What they are to reach stands in `targets.py`, under the same names.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import NO_FLOOR, QUICK, Call, missing, side_by_side, staggered
from targets import plural

import fastopt
from fastopt._dispatch import core
from fastopt._state import rule_of

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Row = dict[str, Any]
LARGE = 1_000_000 if QUICK else 20_000_000
MILLIONS = f"{LARGE // 1_000_000} M"


def set_threads(n: int) -> None:
    """On both sides."""
    fastopt.set_num_threads(n)
    if torch is not None:
        torch.set_num_threads(n)


def ours(name: str, theta: Any, grad: Any, **options: Any) -> Any:
    """An optimizer on one tensor with its gradient bound, past its first step."""
    cls = fastopt.optimizers()[name.lower()]
    opt = cls([theta], **{"lr": cls.rule.comparison_lr, **options})
    opt.bind_grads([grad])
    opt.step()
    return opt


def torchs(name: str, theta: Any, grad: Any, **options: Any) -> Any:
    """PyTorch's, on copies; its fused kernel where the class has one."""
    p = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    p.grad = torch.from_numpy(grad.copy())
    cls = getattr(torch.optim, name)
    if "fused" in inspect.signature(cls).parameters:
        options["fused"] = True
    lr = fastopt.optimizers()[name.lower()].rule.comparison_lr
    opt = cls([p], **{"lr": lr, **options})
    opt.step()
    return opt


def moved(passes: list[tuple[list[Any], list[Any]]]) -> dict[str, Call]:
    """The arrays of these passes, changed and read, moved with one addition per element; {} if not in this
    build.
    """
    floor_pass = getattr(core, "floor_pass", None)
    if floor_pass is None:
        return {}

    def run() -> None:
        for changed, read in passes:
            floor_pass(changed, read)

    return {"floor": run}


def floor(opt: Any, theta: Any, grad: Any) -> dict[str, Call]:
    """The passes of this step."""
    states, ema = list(opt._states[0].values()), opt._ema
    passes: list[tuple[list[Any], list[Any]]] = [([theta, *states, *ema], [grad])]
    beside = {"lamb": theta, "lars": theta, "mars": opt._states[0].get("last_grad")}  # the gradient, in sums
    summed = [grad, *([beside[opt.rule.kernel]] if opt.rule.kernel in beside else [])]
    if opt.rule.norms == "gradient":  # the norms first
        passes.insert(0, ([], summed))
    if opt.rule.norms == "update":  # moments and norms, then the parameters
        passes = [(states, summed), ([theta], states)]
    if opt.rule.norms == "all":  # the same, and where theta began is only read
        passes = [(states[:3], [theta, grad, states[3]]), ([theta], states[:2])]
    if opt._clip_norm is not None:
        passes.insert(0, ([], [grad]))
    return moved(passes)


def numpy_adam(n: int) -> Call:
    """Adam as one writes it in NumPy, with temporaries but in place where NumPy can."""
    theta, g, m, v = staggered(n, 4)
    np.abs(v, out=v)

    def step() -> None:
        m[:] = 0.9 * m + 0.1 * g
        v[:] = 0.999 * v + 0.001 * g * g
        theta[:] -= 1e-3 * m / (np.sqrt(v) + 1e-8)

    return step


def row(case: str, result: dict[str, Any], peer: str = "torch", bytes_moved: int = 0) -> Row:
    """One line of the table."""
    seconds, ratio = result["seconds"], result["ratio"]
    found: Row = {
        "case": case,
        "ours_us": seconds["ours"] * 1e6,
        "peer_us": seconds[peer] * 1e6 if peer in seconds else None,
        "ratio": ratio.get(peer),
        "spread": result["spread"].get(peer),
        "numpy_ratio": ratio.get("numpy"),
        "of_floor": ratio.get("floor"),  # as ratios are: theirs over ours
        "gb_per_s": bytes_moved / seconds["ours"] / 1e9 if bytes_moved else None,
    }
    if not hasattr(core, "floor_pass"):
        found["floor_missing"] = NO_FLOOR
    return found


def adam_sizes(threads: int, exponents: tuple[int, ...]) -> Iterator[Row]:
    """Adam f32, one tensor, against PyTorch's fused step, NumPy and the floor."""
    set_threads(threads)
    for e in [e for e in exponents if e <= 18 or not QUICK]:
        theta, grad = staggered(1 << e, 2)
        opt = ours("Adam", theta, grad)
        calls: dict[str, Call] = {"ours": opt.step, **floor(opt, theta, grad), "numpy": numpy_adam(1 << e)}
        if torch is not None:
            calls["torch"] = torchs("Adam", theta, grad).step
        result = side_by_side(calls, turns=15 if e < 22 else 9)
        yield row(f"Adam 2^{e}, {plural(threads)}", result, bytes_moved=28 << e)


def small_tensors() -> Iterator[Row]:
    """1000 tensors of 64, gradients bound, re-validation included."""
    set_threads(1)
    for name in ("AdamW", "SGD"):
        thetas = [a.copy() for a in np.random.default_rng(0).standard_normal((1000, 64), dtype=np.float32)]
        grads = [a.copy() for a in np.random.default_rng(1).standard_normal((1000, 64), dtype=np.float32)]
        opt = fastopt.optimizers()[name.lower()](thetas, lr=1e-3)
        opt.bind_grads(grads)
        calls: dict[str, Call] = {"ours": opt.step}
        if torch is not None:
            params = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in thetas]
            for p, g in zip(params, grads, strict=True):
                p.grad = torch.from_numpy(g.copy())
            calls["torch"] = getattr(torch.optim, name)(params, lr=1e-3, fused=True).step
        yield {**row(f"{name}, 1000 tensors of 64", side_by_side(calls)), "floor_missing": "-"}


#: Beside every rule with its defaults: settings that give it more states.
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "SGD": ({}, {"momentum": 0.9}),
    "RMSprop": ({}, {"centered": True, "momentum": 0.9}),
    "Adam": ({}, {"amsgrad": True}),
}


#: Vectors are not theirs but AdamW's.
MATRICES = ("MARS",)


def element_wise(cls: Any) -> bool:
    """Does a step of this class, by default, go through elements only, each with states of its own?

    Others have no such floor: what rules of matrices take is products, and what is kept for each row is
    nothing beside a row and as much as it where rows are single numbers, as in the arrays here. They are
    measured on matrices and tables, in `bench_rules.py` and `bench_sparse.py`.
    """
    rule = rule_of(cls([np.zeros(1)]), 0)
    kept = zip(rule["states"], rule["shapes"], strict=True)
    return not rule["matrix"] and not any(state and shape for state, shape in kept)


def every_rule() -> Iterator[Row]:
    """20 M elements: each element-wise rule against its own floor, and PyTorch where it has the class."""
    set_threads(1)
    flat = staggered(LARGE, 2)
    for cls in filter(element_wise, fastopt.optimizers().values()):
        name = cls.__name__
        theta, grad = (a.reshape(2, -1) for a in flat) if name in MATRICES else flat
        for options in SETTINGS.get(name, ({},)):
            opt = ours(name, theta, grad, **options)
            calls: dict[str, Call] = {"ours": opt.step, **floor(opt, theta, grad)}
            if torch is not None and cls.rule.torch:
                calls["torch"] = torchs(name, theta, grad, **options).step
            result = side_by_side(calls, turns=9, budget=0.03)
            yield row(f"{' '.join([name, ', '.join(options)]).strip()}, {MILLIONS}", result)
            del opt, calls


def torch_tail(thetas: list[Any], grads: list[Any]) -> Any:
    """PyTorch's sequence of calls for clip + AdamW + EMA, and zeroing or releasing the gradients."""
    params = [torch.nn.Parameter(torch.from_numpy(a.copy())) for a in thetas]
    gradients = [torch.from_numpy(g.copy()) for g in grads]
    optimizer = torch.optim.AdamW(params, lr=1e-3, fused=True)
    averages = [p.detach().clone() for p in params]

    def step(zero: bool) -> None:
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        torch.nn.utils.clip_grad_norm_(params, 1.0, foreach=True)
        optimizer.step()
        torch._foreach_lerp_(averages, [p.detach() for p in params], 0.001)
        if zero:
            torch._foreach_zero_(gradients)
        else:
            for p in params:
                p.grad = None

    return step


def whole_tail() -> Iterator[Row]:
    """clip + AdamW + EMA + zeroing, 20 M, against PyTorch's sequence of fused calls."""
    set_threads(1)
    theta, grad = staggered(LARGE, 2)
    original = grad.copy()
    opt = fastopt.AdamW([theta], lr=1e-3, clip_norm=1.0, ema_decay=0.999)
    peer = torch_tail([theta], [grad]) if torch is not None else None
    for zero in (True, False):
        np.copyto(grad, original)
        opt.step([grad])
        calls: dict[str, Call] = {
            "ours": lambda zero=zero: opt.step([grad], zero_grads=zero),  # type: ignore[misc]
            **floor(opt, theta, grad),
        }
        if peer is not None:
            calls["torch"] = lambda zero=zero: peer(zero)  # type: ignore[misc]
        result = side_by_side(calls, turns=9, budget=0.05)
        case = f"clip + AdamW + EMA + {'zeroing' if zero else 'set_to_none'}, {MILLIONS}"
        yield row(case, result, bytes_moved=LARGE * (44 if zero else 40))


def decay_beside_none() -> Iterator[Row]:
    """AdamW against our own Adam on the same arrays: the decay is to cost nothing (2 %)."""
    for threads in (1, 2):
        set_threads(threads)
        for e in (10, 12) if QUICK else (10, 12, 14, 16, 18, 20, 22, 24):
            theta, grad = staggered(1 << e, 2)
            adamw, adam = ours("AdamW", theta, grad), ours("Adam", theta.copy(), grad)
            result = side_by_side({"ours": adamw.step, "adam": adam.step}, turns=21 if e < 22 else 11)
            case = f"AdamW over Adam, 2^{e}, {plural(threads)}"
            yield {**row(case, result, "adam"), "peer_name": "ours", "floor_missing": "-"}


def beside_optax() -> Iterator[Row]:
    """Adam beside optax's under jax.jit with donated buffers, each on one thread."""
    from common import in_fresh_process

    for e in (10,) if QUICK else (10, 14, 18, 22, 24):
        case = f"Adam beside optax, 2^{e}, 1 thread"
        if gone := missing("optax"):
            set_threads(1)
            opt = ours("Adam", *staggered(1 << e, 2))
            yield {**row(case, side_by_side({"ours": opt.step})), "missing": gone, "floor_missing": "-"}
            continue
        code = f"import json, optax_case; print(json.dumps(optax_case.measure({e})))"
        one = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        found = in_fresh_process(code, XLA_FLAGS=one, JAX_PLATFORMS="cpu")
        yield {**row(case, found, "optax"), "peer_name": "optax", "floor_missing": "-"}
