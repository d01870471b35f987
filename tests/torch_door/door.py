"""The classes that are judged, PyTorch's as their twins, and how both are driven.

FASTOPT_TORCH_DOOR=torch.optim judges PyTorch's own classes instead of ours: what is not about something we
add must then pass too, so that a test which fails says something of us and not of itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from battery import STEPS, problem
from witness import NAMES, require_torch

torch = require_torch()

JUDGED = os.environ.get("FASTOPT_TORCH_DOOR", "fastopt.torch")
if JUDGED == "torch.optim":
    door: Any = torch.optim
else:
    import fastopt.torch as door

#: Of what torch.optim has not, or does otherwise.
ours_alone = pytest.mark.skipif(JUDGED == "torch.optim", reason="of fastopt.torch, and PyTorch's are judged")
#: Of the step that is native throughout.
native = pytest.mark.skipif(
    not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"),
    reason="PyTorch before 2.10 has no exchange table, and every step is taken with care",
)
#: The classes that PyTorch has too, and those it has not.
SHARED = NAMES
OWN = (
    "ADOPT",
    "AdEMAMix",
    "AdaBelief",
    "Adan",
    "FTRL",
    "Grams",
    "Kron",
    "LAMB",
    "LARS",
    "LaProp",
    "MARS",
    "Lion",
    "Muon",
    "Prodigy",
    "RowWiseAdagrad",
    "RowWiseAdam",
    "SOAP",
    "ScheduleFreeAdamW",
    "ScheduleFreeRAdam",
    "ScheduleFreeSGD",
    "Shampoo",
    "SignSGD",
    "Signum",
    "StableAdamW",
)
#: Those whose first step moves nothing.
FILLS_FIRST = ("ADOPT", "SOAP")
#: In whose groups are the keys of PyTorch'"'"'s class, and of ours those that are given.
AS_PYTORCHS = (*SHARED, "Muon")
#: Those of PyTorch that divide by a parameter's number of elements, and fail where it has none.
NOT_EMPTY = ("Adafactor",)
#: With which the first step moves.
MOVING: dict[str, dict[str, Any]] = {"ScheduleFreeRAdam": {"silent_sgd_phase": False}}
EVERY = SHARED if JUDGED == "torch.optim" else sorted([*SHARED, *OWN])
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
HALF = (torch.bfloat16, torch.float16)

__all__ = [
    "AS_PYTORCHS",
    "EVERY",
    "FILLS_FIRST",
    "FLOATS",
    "HALF",
    "JUDGED",
    "MOVING",
    "OWN",
    "SHARED",
    "STEPS",
    "allowed",
    "clones",
    "default_of",
    "door",
    "drive",
    "equal",
    "given",
    "mine",
    "model",
    "native",
    "ours_alone",
    "same_states",
    "theirs",
    "torch",
    "worst",
]


def mine(name: str) -> Any:
    """The judged class of this name."""
    return getattr(door, name)


def theirs(name: str) -> Any:
    """PyTorch's class of this name."""
    return getattr(torch.optim, name)


def parameters(arrays: Sequence[Any], dtype: Any) -> list[Any]:
    return [torch.nn.Parameter(torch.tensor(a).to(dtype)) for a in arrays]


def given(
    dtype: Any = None, seed: int = 1, holes: bool = True, twin: str = ""
) -> tuple[list[Any], list[list[Any]]]:
    """Parameters of every shape, and STEPS lists of gradients for them, some of them None.

    Of every shape that PyTorch's class takes, where `twin` is its name.
    """
    dtype = dtype or torch.float32
    made = problem("float64", seed, holes=holes)
    half = len(made.params) // 2
    grads = [[None if g is None else torch.tensor(g).to(dtype) for g in row[:half]] for row in made.grads]
    params = parameters(made.params[:half], dtype)
    kept = [i for i, p in enumerate(params) if p.numel() > 0 or twin not in NOT_EMPTY]
    return [params[i] for i in kept], [[row[i] for i in kept] for row in grads]


def clones(params: Sequence[Any], dtype: Any = None) -> list[Any]:
    """Parameters with the same numbers in memory of their own."""
    return [torch.nn.Parameter(p.detach().clone().to(dtype or p.dtype)) for p in params]


def drive(opt: Any, params: Sequence[Any], grads: Sequence[Sequence[Any]]) -> None:
    """One step with each list of gradients, which are copied. Parameters note how far they have gone."""
    for row in grads:
        for p, g in zip(params, row, strict=True):
            p.grad = None if g is None else g.detach().clone().to(p.dtype)
        before = [p.detach().clone() for p in params]
        opt.step()
        for p, old in zip(params, before, strict=True):
            p.peak = torch.maximum(getattr(p, "peak", old.abs()), p.detach().abs())
            p.way = getattr(p, "way", 0.0) + (p.detach() - old).abs()


def worst(got: Sequence[Any], exact: Sequence[Any]) -> float:
    """The largest error over (magnitude so far + distance travelled) of the exact path: `battery.Meter`."""
    error = 0.0
    for g, e in zip(got, exact, strict=True):
        if e.numel() == 0:
            continue
        miss = (g.detach().double() - e.detach().double()).abs()
        ratio = torch.where(miss == 0, miss, miss / (e.peak + e.way)).max()
        error = max(error, float(ratio) if bool(torch.isfinite(ratio)) else float("inf"))
    return error


def allowed(
    run: Any, params: Sequence[Any], grads: Sequence[Sequence[Any]], name: str
) -> tuple[list[Any], float]:
    """What ``run(cls, params, grads)`` gives with PyTorch's class in float64; how far ours may be from it.

    In float64 1e-12; in float32 1e-6, or four times what PyTorch's class misses in float32.
    """
    if params[0].dtype == torch.float64:
        return run(theirs(name), clones(params), grads), 1e-12
    with default_of(torch.float64):
        wide = [[None if g is None else g.double() for g in row] for row in grads]
        exact = run(theirs(name), clones(params, torch.float64), wide)
    twin = run(theirs(name), clones(params), grads)
    return exact, max(1e-6, 4 * worst(twin, exact))


def equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Bit for bit, but for the signs of zeros."""
    return all(torch.equal(a.detach(), b.detach()) for a, b in zip(left, right, strict=True))


def same_states(left: Any, right: Any) -> bool:
    """Whether two optimizers over twin parameters hold the same states, bit for bit."""
    for a, b in zip(every_parameter(left), every_parameter(right), strict=True):
        one, other = left.state.get(a, {}), right.state.get(b, {})
        if one.keys() != other.keys():
            return False
        for key, value in one.items():
            if torch.is_tensor(value):
                if value.dtype != other[key].dtype or not torch.equal(value, other[key]):
                    return False
            elif value != other[key]:
                return False
    return True


def every_parameter(opt: Any) -> list[Any]:
    return [p for group in opt.param_groups for p in group["params"]]


def model(seed: int = 0, dtype: Any = None) -> tuple[Any, Any]:
    """A small network, and a function that computes its loss."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 1))
    net = net.to(dtype or torch.float32)
    inputs = torch.randn(16, 5, dtype=dtype or torch.float32)
    targets = inputs.sum(1, keepdim=True).sin()
    return net, lambda: torch.nn.functional.mse_loss(net(inputs), targets)


@contextmanager
def default_of(dtype: Any) -> Iterator[None]:
    """PyTorch counts steps, and keeps scalars, in the default dtype where that is float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if dtype == torch.float64 else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
