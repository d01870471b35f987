"""Muon and its AdamW: which rule a parameter has does not change in silence once it has begun."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import mine, ours_alone, torch

pytestmark = ours_alone


def parameters(*names: str) -> list[tuple[str, Any]]:
    return [(name, torch.nn.Parameter(torch.ones(4, 3, dtype=torch.float64))) for name in names]


def stepped(named: list[Any], **options: Any) -> Any:
    opt = mine("Muon")(named, lr=0.1, **options)
    for group in opt.param_groups:
        for p in group["params"]:
            p.grad = torch.eye(*p.shape, dtype=p.dtype)
    opt.step()
    return opt


def kept(opt: Any) -> list[list[str]]:
    return [sorted(opt.state[p]) for group in opt.param_groups for p in group["params"]]


@pytest.mark.parametrize(
    "names",
    [["embed.w", "fc.w"], ["fc.w", "head.w"], ["fc.w", "embed"], None],
    ids=["order", "one", "text", "none"],
)
def test_other_names_are_refused(names: list[str] | None) -> None:
    """They are matched by their place, and choose the rule: with others a state would be of the wrong one."""
    saved = stepped(parameters("fc.w", "embed.w")).state_dict()
    given: list[Any] = [p for _, p in parameters("a", "b")] if names is None else parameters(*names)
    opt = stepped(given)
    before = opt.state_dict(), kept(opt)
    with pytest.raises(ValueError, match=r"load_state_dict: expected the names of param_groups\[0\]"):
        opt.load_state_dict(saved)
    assert kept(opt) == before[1]
    assert opt.param_groups[0].get("param_names") == names


def test_the_same_names_and_none_are_taken() -> None:
    named, bare = stepped(parameters("fc.w", "embed.w")), stepped(parameters("fc.w", "fc.v"))
    for opt in (named, bare):
        twin = stepped(parameters(*opt.param_groups[0]["param_names"]))
        saved = opt.state_dict()
        if opt is bare:  # as PyTorch's Muon saves it of parameters without names
            del saved["param_groups"][0]["param_names"]
        twin.load_state_dict(saved)
        twin.step()
        assert kept(twin) == kept(opt)


def test_the_state_of_the_other_rule_is_refused() -> None:
    saved = stepped([p for _, p in parameters("a", "b")]).state_dict()  # without names all are matrices
    for first in ("embed.w", "fc.w"):
        opt = stepped(parameters(first, "fc.v" if first == "embed.w" else "embed.w"))
        before = kept(opt)
        with pytest.raises(ValueError, match=r"params\[\d\]: expected a state with '"):
            opt.load_state_dict(saved)
        assert kept(opt) == before


@pytest.mark.parametrize(
    ("key", "value", "options"),
    [
        ("use_muon", False, {}),
        ("use_muon", None, {"use_muon": False}),
        ("exclude", ("fc*",), {}),
        ("exclude", (), {"exclude": ("fc*",)}),
        ("normalize", True, {}),
    ],
)
def test_edits_that_choose_other_states_are_refused(key: str, value: Any, options: dict[str, Any]) -> None:
    opt = stepped(parameters("fc.w"), **options)
    p, before = opt.param_groups[0]["params"][0], kept(opt)
    theta = p.detach().clone()
    opt.param_groups[0][key] = value
    with pytest.raises(ValueError, match=rf"param_groups\[0\]\[{key!r}\]"):
        opt.step()
    assert kept(opt) == before
    assert torch.equal(p, theta)
