"""What the engine cannot work on is refused with the parameter's index and name, and nothing is modified."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from torch_door.door import EVERY, FILLS_FIRST, MOVING, equal, mine, ours_alone, torch

pytestmark = [
    ours_alone,
    pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning", "ignore:.*quantiz.*", "ignore:.*nested.*"),
]

BAD: dict[str, Any] = {
    "complex": lambda: torch.ones(2, dtype=torch.complex64),
    "device meta": lambda: torch.ones(2, device="meta"),
    "sparse": lambda: torch.ones(2).to_sparse(),
    "int64": lambda: torch.ones(2, dtype=torch.int64),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]),
    "float8": lambda: torch.ones(2).to(torch.float8_e5m2),
}


@pytest.mark.parametrize("kind", [k for k in BAD if k != "device meta"])
def test_parameters_are_refused_at_construction(kind: str) -> None:
    good = torch.nn.Parameter(torch.ones(2))
    bad = torch.nn.Parameter(BAD[kind](), requires_grad=kind not in ("int64",))
    with pytest.raises(TypeError, match=rf"params\[1\].*{kind}"):
        mine("AdamW")([good, bad])
    with pytest.raises(TypeError, match=rf"params\[1\] \(the_bad\).*{kind}"):
        mine("AdamW")([("good", good), ("the_bad", bad)])
    opt = mine("AdamW")([good])
    with pytest.raises(TypeError, match=rf"params\[1\].*{kind}"):
        opt.add_param_group({"params": [bad]})
    assert len(opt.param_groups) == 1


#: Of some rows they are taken (test_sparse.py).
GRADIENTS: dict[str, Any] = {
    "sparse gradient of shape": lambda: torch.ones(2, 3).to_sparse(),
}


@pytest.mark.parametrize("kind", GRADIENTS)
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("after", [0, 2])
def test_gradients_are_refused_and_nothing_is_modified(name: str, kind: str, after: int) -> None:
    params = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(3)]
    opt = mine(name)([(f"w{i}", p) for i, p in enumerate(params)], **MOVING.get(name, {}))
    for _ in range(after):
        for p in params:
            p.grad = torch.ones(2, 3)
        opt.step()
    held = [p.detach().clone() for p in params]
    states = (
        [{k: v.clone() if torch.is_tensor(v) else v for k, v in opt.state[p].items()} for p in params]
        if after
        else None
    )
    for p in params:
        p.grad = torch.ones(2, 3)
    params[1].grad = GRADIENTS[kind]()
    with pytest.raises((RuntimeError, TypeError, ValueError), match=rf"params\[1\] \(w1\).*{kind}"):
        opt.step()
    assert equal(params, held)
    if states is not None:
        for p, state in zip(params, states, strict=True):
            for key, value in state.items():
                assert not torch.is_tensor(value) or torch.equal(value, opt.state[p][key]), key
    params[1].grad = torch.ones(2, 3)
    for _ in range(1 + (name in FILLS_FIRST)):
        opt.step()
    assert all(not torch.equal(p.detach(), h) for p, h in zip(params, held, strict=True))


def freed(p: Any) -> None:
    p.grad.untyped_storage().resize_(0)


def longer(p: Any) -> None:
    p.grad.data = torch.ones(2, 4)


def flat(p: Any) -> None:
    p.grad.data = p.grad.data.view(6)


def of_float64(p: Any) -> None:
    p.grad.data = torch.ones(2, 3, dtype=torch.float64)


def of_integers(p: Any) -> None:
    p.grad.data = torch.ones(2, 3, dtype=torch.int32)


def over_the_parameter(p: Any) -> None:
    p.grad.data = p.data


@pytest.mark.parametrize("change", [freed, longer, flat, of_float64, of_integers, over_the_parameter])
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_gradient_that_became_another_is_refused_and_nothing_is_modified(name: str, change: Any) -> None:
    """Under the same tensor object, which the step before has taken."""
    params = [torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2)]
    opt = mine(name)(params, lr=0.1)
    for p in params:
        p.grad = torch.ones(2, 3)
    opt.step()
    held = [p.detach().clone() for p in params]
    change(params[1])
    with pytest.raises((RuntimeError, TypeError, ValueError), match=r"params\[1\]"):
        opt.step()
    assert equal(params, held)
    params[1].grad = torch.ones(2, 3)
    opt.step()
    assert all(not torch.equal(p.detach(), h) for p, h in zip(params, held, strict=True))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_fused_steps_on_the_meta_device_are_refused_in_pytorchs_words(name: str) -> None:
    p = torch.nn.Parameter(torch.ones(2, device="meta"))
    opt = mine(name)([p], lr=0.1, fused=True)
    p.grad = torch.ones(2, device="meta")
    with pytest.raises(RuntimeError, match="`fused=True` requires all the params to be floating"):
        opt.step()


def test_a_parameter_on_the_meta_device_may_wait_for_its_memory() -> None:
    p = torch.nn.Parameter(torch.ones(2, device="meta"))
    opt = mine("AdamW")([p])
    p.grad = torch.ones(2, device="meta")
    with pytest.raises(TypeError, match=r"params\[0\].*meta"):
        opt.step()
    assert not opt.state[p] if p in opt.state else True


def test_an_expanded_parameter_is_refused() -> None:
    p = torch.ones(1).expand(4).requires_grad_()
    opt = mine("SGD")([p], lr=0.1)
    p.grad = torch.ones(4)
    with pytest.raises(TypeError, match=r"params\[0\].*share memory"):
        opt.step()
    assert p.tolist() == [1] * 4


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"clip_value": 0.0}, "clip_value"),
        ({"ema_decay": 1.5}, "ema_decay"),
        ({"nonfinite": "ignore"}, "nonfinite"),
        ({"state_dtype": "bf16"}, "state_dtype"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
@pytest.mark.parametrize("name", EVERY)
def test_extra_keywords_are_checked_by_name(name: str, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        mine(name)([torch.nn.Parameter(torch.ones(2))], **keywords)


@pytest.mark.parametrize("name", EVERY)
def test_a_rate_that_is_no_number(name: str) -> None:
    for lr in (-0.1, float("nan"), "fast"):
        with pytest.raises((TypeError, ValueError)):
            mine(name)([torch.nn.Parameter(torch.ones(2))], lr=lr)


def test_a_value_edited_to_nonsense_is_refused_and_nothing_is_modified() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    opt = mine("AdamW")([p])
    p.grad = torch.ones(2)
    opt.step()
    held, avg = p.detach().clone(), opt.state[p]["exp_avg"].clone()
    for key, bad in (("lr", float("nan")), ("lr", -1.0), ("betas", (1.5, 0.9)), ("lr", None)):
        good = opt.param_groups[0][key]
        opt.param_groups[0][key] = bad
        with pytest.raises((TypeError, ValueError), match="lr" if key == "lr" else "beta"):
            opt.step()
        opt.param_groups[0][key] = good
        assert torch.equal(p.detach(), held)
        assert torch.equal(opt.state[p]["exp_avg"], avg)
    opt.step()


@ours_alone
@pytest.mark.parametrize("backward", [False, True])
def test_a_value_that_is_refused_is_named_with_its_group(backward: bool) -> None:
    from fastopt.torch import step_in_backward

    p, q = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    opt = mine("AdamW")([{"params": [p]}, {"params": [q], "lr": 0.5}])
    if backward:
        step_in_backward(opt)

    def train() -> None:
        q.sum().backward()
        opt.step()

    for key, bad in (("lr", float("nan")), ("betas", (1.5, 0.9)), ("amsgrad", "yes"), ("clip_norm", 1.0)):
        good = opt.param_groups[1].get(key)
        opt.param_groups[1][key] = bad
        with pytest.raises((TypeError, ValueError), match=rf"param_groups\[1\]\['{key}'\].*: expected"):
            train()
        opt.param_groups[1][key] = good
    assert q.tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"param_groups\[2\]\['weight_decay'\]: expected a finite number"):
        opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": -1.0})


@ours_alone
@pytest.mark.parametrize(
    ("name", "key", "bad"),
    [
        ("AdamW", "lr", torch.ones((), device="meta")),
        ("AdamW", "weight_decay", torch.ones(2)),
        ("AdamW", "betas", np.array(0.5)),
        ("SGD", "momentum_form", np.ones(2)),
        ("Muon", "adjust_lr_fn", np.ones(2)),
        ("Kron", "memory_save_mode", np.ones(2)),
    ],
)
def test_arrays_and_tensors_in_a_group_that_are_no_values(name: str, key: str, bad: Any) -> None:
    p = torch.nn.Parameter(torch.ones(2, 2))
    opt = mine(name)([p])
    opt.param_groups[0][key] = bad
    p.grad = torch.ones(2, 2)
    with pytest.raises((TypeError, ValueError, RuntimeError), match=rf"param_groups\[0\]\['{key}'\]: "):
        opt.step()
    assert p.tolist() == [[1, 1], [1, 1]]


@ours_alone
@pytest.mark.parametrize("key", ["nonfinite", "state_dtype", "rounding", "master", "clip_norm", "seed"])
@pytest.mark.parametrize("bad", [np.ones(2), ["int8"], torch.ones(2)], ids=repr)
def test_arrays_in_the_place_of_options(key: str, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{key}: expected"):
        mine("AdamW")([torch.nn.Parameter(torch.ones(2))], **{key: bad})
