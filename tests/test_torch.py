"""PyTorch as the second witness, element by element, for every class that PyTorch has.

In float64 (with torch's default dtype float64) the bound is 1e-12. In float32 both sides are measured against
torch's float64 run on the same numbers: ours may miss by 1e-6, or by four times what torch's own float32 run
misses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import fastopt
from battery import STEPS, Meter, problem
from draws import GROUP, VARIANTS, draw
from witness import NAMES, Witness, default_dtype, require_torch, takes

torch = require_torch()
CASES = [(name, i) for name in NAMES for i in range(len(VARIANTS[name]))]
FLOAT64 = 1e-12
FLOAT32 = 1e-6


@pytest.fixture
def _double() -> Iterator[None]:
    with default_dtype(np.float64):
        yield


class Ours:
    """Our class behind the witness's interface, over copies of the groups' parameters."""

    def __init__(self, name: str, groups: list[dict[str, Any]], **options: Any) -> None:
        copies = [{**group, "params": [p.copy() for p in group["params"]]} for group in groups]
        self.params = [p for group in copies for p in group["params"]]
        self.optimizer = getattr(fastopt, name)(copies, **options)
        self.param_groups = self.optimizer.param_groups

    def step(self, grads: list[Any]) -> None:
        self.optimizer.step(grads)


def both(name: str, variant: int, dtype: Any, common: bool) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Group dicts with keywords that both sides take, each group with its own numbers; the gradients."""
    rng = np.random.default_rng(500 + variant)
    setting = takes(name, {**VARIANTS[name][variant], **(GROUP if common else {})})
    given = problem(dtype, seed=variant)
    return given.groups(draw(setting, rng), draw(setting, rng)), given.grads


def drive(sides: list[Any], grads: list[list[Any]], steps: Iterable[int] = range(STEPS)) -> Meter:
    """Step every side, changing lr at step 11; returns the meter of the first side's path."""
    meter = Meter(sides[0].params)
    for k in steps:
        for side in sides:
            if k == 11:
                side.param_groups[0]["lr"] *= 0.3
                side.param_groups[1]["lr"] *= 2.5
            side.step(grads[k])
        meter.seen(sides[0].params)
    return meter


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("common", [True, False], ids=["common keywords", "own keywords"])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_float64(name: str, variant: int, common: bool) -> None:
    groups, grads = both(name, variant, np.float64, common)
    ours = Ours(name, groups)
    meter = drive([Witness(name, groups, np.float64), ours], grads)
    assert meter.error(ours.params) <= FLOAT64


@pytest.mark.parametrize("common", [True, False], ids=["common keywords", "own keywords"])
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_float32(name: str, variant: int, common: bool) -> None:
    groups, grads = both(name, variant, np.float32, common)
    ours = Ours(name, groups)
    with default_dtype(np.float64):
        meter = drive([Witness(name, groups, np.float64), ours], grads)
    with default_dtype(np.float32):
        theirs = Witness(name, groups, np.float32)
        drive([theirs], grads)
    assert meter.error(ours.params) <= max(FLOAT32, 4 * meter.error(theirs.params))


#: Of every kind; a limit on single tensors is reached by some of them only.
CLIPS: list[dict[str, Any]] = [
    {"clip_value": 0.7},
    {"clip_norm": 3.0},
    {"clip_value": 2.0, "clip_norm": 9.0},
    {"clip_norm": 0.7, "clip_norm_type": np.inf},
    {"clip_norm": 3.0, "clip_norm_per": "tensor"},
    {"clip_norm": 0.7, "clip_norm_type": np.inf, "clip_norm_per": "tensor"},
    {"clip_value": 2.0, "clip_norm": 1.5, "clip_norm_type": "inf", "clip_norm_per": "tensor"},
]


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_clipping_is_torchs(name: str, clip: dict[str, Any]) -> None:
    """``clip_grad_value_``, then ``clip_grad_norm_`` over all tensors of all groups or each, as keywords."""
    groups, grads = both(name, 2, np.float64, common=True)
    ours, theirs = Ours(name, groups, **clip), Witness(name, groups, np.float64)
    meter = Meter(theirs.params)
    for row in grads:
        ours.step(row)
        theirs.step(row, **clip)
        meter.seen(theirs.params)
    assert meter.error(ours.params) <= FLOAT64


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("per", ["all", "tensor"])
@pytest.mark.parametrize("norm_type", [2, np.inf])
def test_the_norm_that_clipping_reports_is_torchs(norm_type: float, per: str) -> None:
    """Of all tensors, also where each is clipped by its own."""
    groups, grads = both("SGD", 2, np.float64, common=False)
    ours = Ours("SGD", groups, clip_norm=1.0, clip_norm_type=norm_type, clip_norm_per=per)
    row = grads[2]
    ours.step(row)
    tensors = [torch.from_numpy(np.array(g)) for g in row if g is not None and g.size]
    norm = torch.nn.utils.get_total_norm(tensors, norm_type)
    np.testing.assert_allclose(ours.optimizer.grad_norm, float(norm), rtol=1e-14)


def exported(value: Any) -> Any:
    """A state_dict of ours with torch's tensors in place of arrays."""
    if isinstance(value, dict):
        return {key: exported(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return [exported(v) for v in value] if isinstance(value, list) else value


def imported(value: Any) -> Any:
    """A state_dict of torch's with arrays in place of tensors."""
    if isinstance(value, dict):
        return {key: imported(v) for key, v in value.items()}
    if isinstance(value, torch.Tensor):
        return value.numpy().copy()
    return [imported(v) for v in value] if isinstance(value, list) else value


def strangers(name: str, variant: int, params: list[Any]) -> list[dict[str, Any]]:
    """Groups with other numbers, to be overruled by a loaded state; words and flags agree."""
    setting = takes(name, {**VARIANTS[name][variant], **GROUP})
    other = [draw(setting, np.random.default_rng(seed)) for seed in (77, 78)]
    half = len(params) // 2
    return [{**other[0], "params": params[:half]}, {**other[1], "params": params[half:]}]


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_our_state_continues_in_torch(name: str, variant: int) -> None:
    groups, grads = both(name, variant, np.float64, common=True)
    ours = Ours(name, groups)
    drive([ours], grads, range(15))
    theirs = Witness(name, strangers(name, variant, ours.params), np.float64)
    theirs.optimizer.load_state_dict(exported(ours.optimizer.state_dict()))
    meter = drive([theirs, ours], grads, range(15, STEPS))
    assert meter.error(ours.params) <= FLOAT64


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(("name", "variant"), CASES)
def test_torchs_state_continues_in_ours(name: str, variant: int) -> None:
    groups, grads = both(name, variant, np.float64, common=True)
    theirs = Witness(name, groups, np.float64)
    drive([theirs], grads, range(15))
    ours = Ours(name, strangers(name, variant, theirs.params))
    ours.optimizer.load_state_dict(imported(theirs.optimizer.state_dict()))
    meter = drive([theirs, ours], grads, range(15, STEPS))
    assert meter.error(ours.params) <= FLOAT64
