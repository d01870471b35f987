"""State dicts: swapped with PyTorch's class in mid-training, with the NumPy class, resumed bit for bit."""

from __future__ import annotations

import copy
import io
import pickle
from collections import OrderedDict, defaultdict
from typing import Any

import pytest

import fastopt
from torch_door.door import (
    EVERY,
    FLOATS,
    HALF,
    JUDGED,
    SHARED,
    allowed,
    clones,
    default_of,
    drive,
    equal,
    given,
    mine,
    ours_alone,
    same_states,
    theirs,
    torch,
    worst,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "Adam": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"weight_decay": 0.1},
    "NAdam": {"decoupled_weight_decay": True, "weight_decay": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.9},
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}


def options(name: str) -> dict[str, Any]:
    return dict(OPTIONS.get(name, {}))


def straight(name: str) -> Any:
    """All steps with one optimizer."""

    def run(cls: Any, params: Any, grads: Any) -> Any:
        drive(cls(params, **options(name)), params, grads)
        return params

    return run


def loaded(cls: Any, params: Any, saved: Any, **keywords: Any) -> Any:
    opt = cls(params, **keywords)
    opt.load_state_dict(saved)
    return opt


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("to_ours", [True, False], ids=["to ours", "to theirs"])
@pytest.mark.parametrize("name", SHARED)
def test_swapped_in_mid_training(name: str, to_ours: bool, dtype: Any) -> None:
    first, second = (theirs(name), mine(name)) if to_ours else (mine(name), theirs(name))
    with default_of(dtype):
        params, grads = given(dtype, twin=name)
        whole, bound = allowed(straight(name), params, grads, name)
        swapped = clones(params)
        before = first(swapped, **options(name))
        drive(before, swapped, grads[:15])
        drive(loaded(second, swapped, before.state_dict()), swapped, grads[15:])
    assert worst(swapped, whole) <= bound


@pytest.mark.parametrize("name", SHARED)
def test_swapped_back_and_forth(name: str) -> None:
    params, grads = given(torch.float32, twin=name)
    whole, bound = allowed(straight(name), params, grads, name)
    swapped = clones(params)
    opt = mine(name)(swapped, **options(name))
    for k in range(0, 30, 5):
        drive(opt, swapped, grads[k : k + 5])
        opt = loaded((theirs if k % 2 == 0 else mine)(name), swapped, opt.state_dict())
    assert worst(swapped, whole) <= bound


@ours_alone
@pytest.mark.parametrize("name", EVERY)
def test_swapped_with_the_numpy_class(name: str) -> None:
    params, grads = given(torch.float64, holes=False)
    with default_of(torch.float64):
        whole = clones(params)
        drive(mine(name)(whole, **options(name)), whole, grads)
        first = clones(params)
        opt = mine(name)(first, **options(name))
        drive(opt, first, grads[:10])
        arrays = [p.detach().numpy().copy() for p in first]
        numpy = getattr(fastopt, name)(arrays, lr=opt.param_groups[0]["lr"], **options(name))
        numpy.load_state_dict(as_arrays(opt.state_dict()))
        for row in grads[10:20]:
            numpy.step([g.numpy().copy() for g in row])
        last = [torch.nn.Parameter(torch.from_numpy(a)) for a in arrays]
        drive(loaded(mine(name), last, numpy.state_dict(), **options(name)), last, grads[20:])
    assert worst(last, whole) <= 1e-12


def as_arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_arrays(v) for key, v in value.items()}
    if isinstance(value, torch.Tensor):
        return value.numpy().copy()
    return [as_arrays(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", EVERY)
def test_resumed_bit_for_bit(name: str, dtype: Any) -> None:
    """Through a file, whatever the default dtype; PyTorch's class needs it to be that of the parameters."""
    pytorchs = JUDGED == "torch.optim"
    if pytorchs and dtype in HALF:
        pytest.skip("PyTorch casts states to their parameters' dtype when it loads them")
    with default_of(dtype if pytorchs else torch.float32):
        params, grads = given(dtype, twin=name if pytorchs else "")
        whole, parts = clones(params), clones(params)
        straight = mine(name)(whole, **options(name))
        drive(straight, whole, grads)
        before = mine(name)(parts, **options(name))
        drive(before, parts, grads[:13])
        memory = io.BytesIO()
        torch.save({"opt": before.state_dict(), "params": [p.detach() for p in parts]}, memory)
        memory.seek(0)
        saved = torch.load(memory, weights_only=True)
        fresh = [torch.nn.Parameter(p) for p in saved["params"]]
        after = loaded(mine(name), fresh, saved["opt"])
        drive(after, fresh, grads[13:])
    assert equal(fresh, whole)
    assert same_states(after, straight)


@pytest.mark.parametrize("name", SHARED)
def test_the_state_dict_is_pytorchs(name: str) -> None:
    params, grads = given(torch.float32, twin=name)
    left, right = clones(params), clones(params)
    ours, others = mine(name)(left, **options(name)), theirs(name)(right, **options(name))
    drive(ours, left, grads[:3])
    drive(others, right, grads[:3])
    got, want = ours.state_dict(), others.state_dict()
    assert got.keys() == want.keys()
    assert got["state"].keys() == want["state"].keys()
    for i, state in want["state"].items():
        assert got["state"][i].keys() == state.keys()
    for mine_, theirs_ in zip(got["param_groups"], want["param_groups"], strict=True):
        assert theirs_.items() <= mine_.items()


def test_loading_by_keyword() -> None:
    params, grads = given(torch.float32, holes=False)
    opt = mine("AdamW")(params)
    drive(opt, params, grads[:3])
    saved = opt.state_dict()
    other = mine("AdamW")(clones(params))
    other.load_state_dict(state_dict=saved)
    twin = other.param_groups[0]["params"]
    drive(opt, params, grads[3:])
    other.load_state_dict(state_dict=copy.deepcopy(saved))
    assert all(other.state[p]["step"] == opt.state[q]["step"] for p, q in zip(twin, params, strict=True))


@pytest.mark.parametrize("change", ["fewer groups", "fewer parameters"])
def test_a_state_dict_that_does_not_fit_is_refused_and_changes_nothing(change: str) -> None:
    params, grads = given(torch.float32)
    opt = mine("AdamW")(params)
    drive(opt, params, grads[:3])
    saved = copy.deepcopy(opt.state_dict())
    if change == "fewer groups":
        saved["param_groups"] = []
    else:
        saved["param_groups"][0]["params"] = saved["param_groups"][0]["params"][:-1]
    twin = clones(params)
    other = copy.deepcopy(opt)
    with pytest.raises(ValueError, match="param"):
        opt.load_state_dict(saved)
    assert same_states(opt, other)
    assert equal(params, twin)


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", EVERY)
def test_copies_continue_alike_and_apart(name: str, how: str) -> None:
    params, grads = given(torch.float32, twin=name if JUDGED == "torch.optim" else "")
    opt = mine(name)(params, **options(name))
    drive(opt, params, grads[:7])
    copied = copy.deepcopy(opt) if how == "deepcopy" else pickle.loads(pickle.dumps(opt))
    own = [p for group in copied.param_groups for p in group["params"]]
    assert same_states(copied, opt)
    drive(opt, params, grads[7:])
    assert not equal(own, params)
    drive(copied, own, grads[7:])
    assert equal(own, params)
    assert same_states(copied, opt)


@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop"])
def test_states_replaced_wholesale_are_used(name: str) -> None:
    """Hosts put other dicts, other tensors and other groups in the place of those the step has seen."""
    params, grads = given(torch.float32)

    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own, **options(name))
        drive(opt, own, grads[:5])
        opt.state = defaultdict(
            dict,
            {
                p: {k: v.clone() if torch.is_tensor(v) else v for k, v in s.items()}
                for p, s in opt.state.items()
            },
        )
        drive(opt, own, grads[5:10])
        for state in opt.state.values():
            for key, value in state.items():
                if torch.is_tensor(value) and value.dim() > 0:
                    state[key] = value * 0.5
        drive(opt, own, grads[10:15])
        opt.param_groups = [
            {**opt.param_groups[0], "params": own[half], "lr": 0.01 * (i + 1)}
            for i, half in enumerate((slice(0, 6), slice(6, None)))
        ]
        drive(opt, own, grads[15:20])
        opt.state.clear()
        drive(opt, own, grads[20:])
        return own

    exact, bound = allowed(run, params, grads, name)
    assert worst(run(mine(name), clones(params), grads), exact) <= bound


@ours_alone
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_states_filled_in_before_the_first_step_keep_their_dtype(name: str) -> None:
    params, grads = given(torch.float32, holes=False)
    opt = mine(name)(params)
    for p in params:
        moments = {key: torch.zeros_like(p, dtype=torch.bfloat16) for key in ("exp_avg", "exp_avg_sq")}
        opt.state[p] = {"step": torch.tensor(0.0), **moments}
    held = {id(p): opt.state[p]["exp_avg"] for p in params}
    drive(opt, params, grads[:5])
    for p in params:
        assert opt.state[p]["exp_avg"].dtype == opt.state[p]["exp_avg_sq"].dtype == torch.bfloat16
        assert opt.state[p]["exp_avg"] is held[id(p)]
        assert opt.state[p]["step"] == 5
        assert p.numel() == 0 or bool(opt.state[p]["exp_avg"].abs().sum() > 0)


def test_states_filled_in_before_the_first_step_count() -> None:
    """A moment and a step count that somebody else made are where the average goes on."""
    params, grads = given(torch.float32, holes=False)

    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own)
        for p in own:
            opt.state[p] = {
                "step": torch.tensor(7.0),
                "exp_avg": torch.full_like(p, 0.3),
                "exp_avg_sq": torch.full_like(p, 0.2),
            }
        drive(opt, own, grads)
        assert all(opt.state[p]["step"] == 37 for p in own)
        return own

    exact, bound = allowed(run, params, grads, "AdamW")
    assert worst(run(mine("AdamW"), clones(params), grads), exact) <= bound


def test_an_ordered_state_dict() -> None:
    params, grads = given(torch.float32)
    opt = mine("SGD")(params, momentum=0.9)
    drive(opt, params, grads[:3])
    saved = OrderedDict(copy.deepcopy(opt.state_dict()))
    twin = clones(params)
    drive(loaded(mine("SGD"), twin, saved), twin, grads[3:])
    drive(opt, params, grads[3:])
    assert equal(twin, params)


def test_a_hook_that_changes_what_is_loaded() -> None:
    """Hooks before loading pick, by name, the parameters that are still there; dtypes are kept."""
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 2, dtype=torch.bfloat16), torch.nn.Linear(2, 1, dtype=torch.bfloat16)
    )
    old = mine("AdamW")(net.named_parameters())
    net(torch.ones(4, 3, dtype=torch.bfloat16)).sum().backward()
    old.step()
    new = mine("AdamW")(net[1].named_parameters(prefix="1"))

    def pick(opt: Any, saved: dict[str, Any]) -> dict[str, Any]:
        names = saved["param_groups"][0]["param_names"]
        wanted = [names.index(name) for name in opt.param_groups[0]["param_names"]]
        group = {**saved["param_groups"][0], "params": [0, 1], "param_names": [names[i] for i in wanted]}
        return {"state": {k: saved["state"][i] for k, i in enumerate(wanted)}, "param_groups": [group]}

    new.register_load_state_dict_pre_hook(pick)
    new.load_state_dict(old.state_dict())
    for p in net[1].parameters():
        assert new.state[p]["exp_avg"].dtype == old.state[p]["exp_avg"].dtype
        assert torch.equal(new.state[p]["exp_avg"], old.state[p]["exp_avg"])


def test_a_hook_that_changes_what_was_loaded() -> None:
    """Hooks after loading see states of the dtype they were saved in, and have the last word."""
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    old, new = mine("AdamW")([p]), mine("AdamW")([p])
    p.grad = torch.ones_like(p)
    old.step()
    seen = []

    def narrow(opt: Any) -> None:
        seen.append(opt.state[p]["exp_avg"].dtype)
        opt.state[p]["exp_avg"] = opt.state[p]["exp_avg"].to(torch.bfloat16)

    new.register_load_state_dict_post_hook(narrow)
    new.load_state_dict(old.state_dict())
    assert seen == [old.state[p]["exp_avg"].dtype]
    assert new.state[p]["exp_avg"].dtype == torch.bfloat16
    assert len(new._optimizer_load_state_dict_post_hooks) == 1
    assert not new._optimizer_load_state_dict_pre_hooks
