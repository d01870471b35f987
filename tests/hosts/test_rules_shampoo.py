"""Shampoo beside pytorch_optimizer's two, in float64: the paper's sums of G G', and averages with grafting.

Set equal are: epsilon (here 1e-4, there 1e-6 where statistics begin); one block for each side (here of 128,
there none, or of 512); roots at every step, since Shampoo there takes them at steps k, 2k, ... and moves
nothing before, ours at steps 1, k + 1, ...; no momentum, which there is of the preconditioned gradient and
here of the gradient; and, of ScalableShampoo, roots by SVD without its ridge, no axes joined, no Nesterov,
preconditioning from the first step on, and no vectors, which it hands to the rule that it is grafted on.
Exponents are -1 / (2 k) for k sides in all of them.
"""

from __future__ import annotations

from typing import Any

import pytest

from hosts.common import host

LR, EPSILON, STEPS = 0.1, 0.05, 12
BOUND = 1e-10  # rounding times the condition of the statistics, some 1e4, over twelve steps
PAPER = [(6, 6), (9, 4), (4, 9), (1, 5), (3, 4, 5), (2, 2, 3, 2), (7,)]
MATRICES = [(6, 6), (9, 4), (4, 9), (3, 4, 5)]
_SCALABLE = {
    "start_preconditioning_step": 1,
    "preconditioning_compute_steps": 1,
    "block_size": 512,
    "shape_interpretation": False,
    "use_svd": True,
    "nesterov": False,
}
#: Keywords of ours; the class there, its keywords, and shapes.
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any], list[tuple[int, ...]]]] = {
    "the paper's": ({}, "Shampoo", {}, PAPER),
    "with a penalty": ({"weight_decay": 0.1}, "Shampoo", {"weight_decay": 0.1}, PAPER),
    "averages": (
        {"beta2": 0.9},
        "ScalableShampoo",
        {"betas": (0.0, 0.9), "graft_type": 0, **_SCALABLE},
        MATRICES,
    ),
    "grafted on SGD": (
        {"beta2": 0.9, "grafting": "sgd"},
        "ScalableShampoo",
        {"betas": (0.0, 0.9), "graft_type": 1, **_SCALABLE},
        MATRICES,
    ),
}


def paths(cls: Any, shapes: list[tuple[int, ...]], **keywords: Any) -> list[list[Any]]:
    """The parameters after every step."""
    torch = host("torch")
    source = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64, generator=source)) for s in shapes]
    opt = cls(params, lr=LR, **keywords)
    seen = []
    for k in range(STEPS):
        if k == STEPS // 2:
            opt.param_groups[0]["lr"] *= 0.3
        for p in params:
            p.grad = (1 + k % 3) * torch.randn(p.shape, dtype=p.dtype, generator=source)
        opt.step()
        seen.append([p.detach().clone() for p in params])
    return seen


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_the_witnesss(case: str) -> None:
    torch = host("torch")
    mine, name, theirs, shapes = CASES[case]
    ours = paths(host("fastopt.torch").Shampoo, shapes, epsilon=EPSILON, **mine)
    exact = paths(getattr(host("pytorch_optimizer"), name), shapes, matrix_eps=EPSILON, **theirs)
    for k, (left, right) in enumerate(zip(ours, exact, strict=True)):
        for a, b in zip(left, right, strict=True):
            torch.testing.assert_close(
                a, b, rtol=BOUND, atol=BOUND, msg=f"{case}, {tuple(a.shape)}, step {k}"
            )


def test_the_cases_are_different_steps() -> None:
    """And no test above compares a step with one that a keyword does not change."""
    cls = host("fastopt.torch").Shampoo
    ends = [paths(cls, MATRICES, epsilon=EPSILON, **CASES[case][0])[-1] for case in CASES]
    for i, left in enumerate(ends):
        for right in ends[:i]:
            assert all(float((a - b).abs().max()) > 1e-3 for a, b in zip(left, right, strict=True))
