"""Kron beside pytorch_optimizer's, in float64, with our random numbers in the place of its own.

What it draws is what the papers call V, from PyTorch's generator; it is replaced by ours, whose numbers
`tests/reference_kron.py` has. Its triangular solve goes through float32: it is replaced by the same in
float64. It balances all factors or none by one draw, we those of each tensor: never, or always.
"""

from __future__ import annotations

from typing import Any

import pytest

from hosts.common import host
from reference_kron import probe

LR, STEPS = 0.1, 14
BOUND = 1e-9  # rounding over fourteen steps
SHAPES = [(6, 6), (9, 4), (4, 9), (1, 5), (3, 4, 5), (2, 2, 3, 2), (7,), (5,), (1,), ()]
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "seldom": {"preconditioner_update_probability": 0.3},
    "never": {"preconditioner_update_probability": 0.0},
    "vectors too": {"min_ndim_triangular": 0, "max_size_triangular": 6},
    "one diagonal": {"memory_save_mode": "one_diag"},
    "the longest diagonal": {"memory_save_mode": "smart_one_diag"},
    "diagonal": {"memory_save_mode": "all_diag"},
    "from gradients": {"momentum_into_precond_update": False, "momentum": 0.5},
    "no momentum": {"momentum": 0.0},
    "fast": {"precond_lr": 0.4, "precond_init_scale": 0.3},
    "decay": {"weight_decay": 0.1},
    "balanced": {"balance_prob": 1.0, "memory_save_mode": "one_diag"},
}
#: What it calls them; the last two are no keywords there, but in its groups.
THEIRS = {
    "preconditioner_update_probability": "pre_conditioner_update_probability",
    "momentum_into_precond_update": "momentum_into_precondition_update",
    "precond_lr": "precondition_lr",
    "precond_init_scale": "precondition_init_scale",
}


class Probes:
    """Our random numbers, one tensor after the other."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        self.shapes, self.t, self.number = shapes, 0, 0

    def begin(self) -> None:
        self.t, self.number = self.t + 1, 0

    def next(self, *_: Any, **__: Any) -> Any:
        shape = self.shapes[self.number]
        self.number += 1
        return host("torch").from_numpy(probe(0, self.t, self.number - 1, shape or (1,)).reshape(shape))


def exact_solve(x: Any, a: Any) -> Any:
    solve = host("torch").linalg.solve_triangular
    return solve(a, x.reshape(-1, x.size(-1)), upper=True, left=False).reshape_as(x)


def paths(make: Any, probes: Probes | None = None, shapes: Any = SHAPES) -> list[list[Any]]:
    """The parameters after every step."""
    torch = host("torch")
    source = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64, generator=source)) for s in shapes]
    opt = make(params)
    seen = []
    for k in range(STEPS):
        if k == STEPS // 2:
            opt.param_groups[0]["lr"] *= 0.3
        for p in params:
            p.grad = (1 + k % 3) * torch.randn(p.shape, dtype=p.dtype, generator=source)
        if probes:
            probes.begin()
        opt.step()
        seen.append([p.detach().clone() for p in params])
    return seen


def ours(keywords: dict[str, Any], shapes: Any = SHAPES) -> list[list[Any]]:
    kron = host("fastopt.torch").Kron
    return paths(lambda params: kron(params, lr=LR, **{"balance_prob": 0.0, **keywords}), shapes=shapes)


def theirs(keywords: dict[str, Any], shapes: Any, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    host("pytorch_optimizer")
    module, torch, probes = host("pytorch_optimizer.optimizer.psgd"), host("torch"), Probes(shapes)
    monkeypatch.setattr(module, "solve_triangular_right", exact_solve)
    monkeypatch.setattr(torch, "randn_like", probes.next)

    def make(params: list[Any]) -> Any:
        chosen = {"balance_prob": 0.0, **keywords}
        opt = module.Kron(
            params, lr=LR, balance_prob=chosen.pop("balance_prob"), precondition_dtype=torch.float64
        )
        opt.param_groups[0].update({THEIRS.get(key, key): value for key, value in chosen.items()})
        return opt

    return paths(make, probes, shapes)


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_pytorch_optimizers(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # there vectors do not decay
    shapes = [s for s in SHAPES if len(s) > 1] if case == "decay" else SHAPES
    for k, (left, right) in enumerate(
        zip(ours(CASES[case], shapes), theirs(CASES[case], shapes, monkeypatch), strict=True)
    ):
        for a, b in zip(left, right, strict=True):
            host("torch").testing.assert_close(
                a, b, rtol=BOUND, atol=BOUND, msg=f"{tuple(a.shape)}, step {k}: {float((a - b).abs().max())}"
            )


def test_the_cases_are_different_steps() -> None:
    """And no test above compares a step with one that a keyword does not change; but for balancing, which
    moves from one factor to another what their product keeps (tests/test_kron.py looks at the factors).
    """
    cases = [keywords for case, keywords in CASES.items() if case != "balanced"]
    ends = [ours(keywords, [(9, 4), (6, 6), (5,)])[-1] for keywords in cases]
    for i, left in enumerate(ends):
        for right in ends[:i]:
            assert any(float((a - b).abs().max()) > 1e-4 for a, b in zip(left, right, strict=True))
