"""What is edited in a group after construction has an effect at the next step, or is refused by name."""

from __future__ import annotations

from collections import UserDict, deque
from typing import Any

import pytest

from torch_door.door import EVERY, SHARED, default_of, mine, ours_alone, theirs, torch

#: Accepted and without effect, as documented: there is one way to step. The mode is train()'s and eval()'s.
FREE = ("params", "foreach", "fused", "train_mode")
#: Of whole optimizers.
OPTIONS = {
    "clip_norm": 0.1,
    "clip_norm_type": "inf",
    "clip_norm_per": "tensor",
    "clip_value": 0.1,
    "nonfinite": "skip",
    "ema_decay": 0.9,
    "state_dtype": torch.bfloat16,
}
OTHER: dict[str, Any] = {
    "betas": lambda old: tuple(b / 2 for b in old),
    "etas": lambda old: (0.3, 1.5),
    "step_sizes": lambda old: (2e-3, 3e-3),
    "eps": lambda old: (0.2, 0.5) if isinstance(old, tuple) else 0.5,
    "eps_form": lambda old: "added",
    "momentum_form": lambda old: "step",
    "t0": lambda old: 0.0,
    "rectify_threshold": lambda old: 50.0,
    "lambd": lambda old: 0.5,
    "alpha_warmup": lambda old: 10.0,
    "beta3_warmup": lambda old: 10.0,
    "clip_exp": lambda old: 0.1,
    "mars_type": lambda old: "mars-lion",
    "betas_1d": lambda old: tuple(b / 2 for b in old),
    "warmup_steps": lambda old: 9,
    "beta3": lambda old: 0.25,
    "growth_rate": lambda old: 1.01,
    "precondition_frequency": lambda old: 1,
    "max_precond_dim": lambda old: 2,
    "shampoo_beta": lambda old: 0.5,
    "update_freq": lambda old: 2,
    "block_size": lambda old: 2,
    "grafting": lambda old: "sgd",
    "preconditioner_update_probability": lambda old: 0.5,
    "balance_prob": lambda old: 1.0,
    "max_size_triangular": lambda old: 2,
    "min_ndim_triangular": lambda old: 3,
    "memory_save_mode": lambda old: "all_diag",
    "ns_coefficients": lambda old: "polar-express",
    "ns_steps": lambda old: 2,
    "adjust_lr_fn": lambda old: "match_rms_adamw",
    "method": lambda old: "exact",
    "batch_axes": lambda old: 1,
    "use_muon": lambda old: False,
    "exclude": lambda old: ("*",),
    "adamw_betas": lambda old: tuple(b / 2 for b in old),
    "adamw_weight_decay": lambda old: 0.3,
}
BASE: dict[str, dict[str, Any]] = {
    # a rate above 1 / sqrt(t), and an epsilon that acts
    "Adafactor": {"lr": 0.8, "eps": (0.1, 1e-3), "weight_decay": 0.1},
    "SGD": {"momentum": 0.9, "weight_decay": 0.1},
    "LARS": {"weight_decay": 0.1},
    "MARS": {"weight_decay": 0.1, "optimize_1d": True},
    "Muon": {"weight_decay": 0.1, "normalize": True},
    "RMSprop": {"momentum": 0.9, "weight_decay": 0.1},
    "SignSGD": {"momentum": 0.9, "weight_decay": 0.1},
    "Rprop": {},
    "Shampoo": {"weight_decay": 0.1, "momentum": 0.5, "beta2": 0.9, "grafting": "adam"},
    # d grows four times
    "Prodigy": {"weight_decay": 0.1, "decouple": False, "betas": (0.0, 0.999), "beta3": 0.5, "d_coef": 50.0},
}
#: Of Muon, for the parameters that it leaves to AdamW.
OF_ADAMW = ("adamw_lr_ratio", "adamw_betas", "adamw_eps", "adamw_weight_decay")
#: PyTorch's Rprop reads its rate for the first step sizes alone, and schedulers may edit it all the same.
#: ADOPT clips what is larger than gradients were so far. The parameter is a matrix without a name, and "1d",
#: "adamw" and patterns are of others:
#: test_keys_of_vectors has one.
#: Steps of the others go down their gradient by themselves.
WITHOUT_EFFECT = (
    *(("Rprop", "lr"), ("ADOPT", "clip_exp")),
    *((name, "cautious") for name in ("Adadelta", "Adagrad", "Grams")),
    *(("MARS", key) for key in ("optimize_1d", "lr_1d_factor", "betas_1d", "weight_decay_1d")),
    *(("Muon", key) for key in (*OF_ADAMW, "exclude")),
    ("SOAP", "precondition_1d"),
)


def start(name: str) -> Any:
    """A row; where rows are treated as such, two."""
    return torch.tensor(
        [[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]] if name == "Muon" else [[1.0, -2.0, 3.0]], dtype=torch.float64
    )


def optimizer(cls: Any, name: str) -> tuple[Any, Any]:
    p = torch.nn.Parameter(start(name))
    return cls([p], **{"lr": 0.05, **BASE.get(name, {"weight_decay": 0.1})}), p


def steps(opt: Any, p: Any, begin: int, end: int) -> None:
    """Gradients of changing signs that become smaller, so that every maximum and every form matters."""
    for k in range(begin, end):
        rows = torch.tensor([[0.3, (-1.0) ** k, 0.7 - k], [-0.2, 0.5, 0.1 * k]], dtype=torch.float64)
        p.grad = rows[: len(p)] * 0.5**k
        opt.step()


def everything(opt: Any, p: Any) -> list[Any]:
    return [p.detach().clone(), *(v.detach().clone() for v in opt.state[p].values() if torch.is_tensor(v))]


def same(left: Any, right: Any) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def edited(old: Any, key: str) -> Any:
    if key in OTHER:
        return OTHER[key](old)
    return (not old) if isinstance(old, bool) else old / 2 + 0.03


def keys_of(name: str) -> list[str]:
    cls = mine(name)
    opt, _ = optimizer(cls, name)
    return [
        key for key in dict.fromkeys([*opt.param_groups[0], *getattr(cls, "_keys", ())]) if key not in FREE
    ]


#: What groups of AdamW hold in one form; decoupled_weight_decay since PyTorch 2.7.
ONE_FORM = [
    key for key in keys_of("AdamW") if key in ("capturable", "differentiable", "decoupled_weight_decay")
]
CASES = [(name, key) for name in EVERY for key in keys_of(name)]


@ours_alone
@pytest.mark.parametrize(("name", "key"), CASES)
def test_every_key_of_every_class(name: str, key: str) -> None:
    from fastopt.torch._options import defaults_of

    with default_of(torch.float64):
        opt, p = optimizer(mine(name), name)
        twin, q = optimizer(mine(name), name)
        steps(opt, p, 0, 2)
        steps(twin, q, 0, 2)
        known = defaults_of(opt._formula) if hasattr(opt, "_formula") else {}
        value = edited(opt.param_groups[0].get(key, known.get(key)), key)
        opt.param_groups[0][key] = value
        before = everything(opt, p)
        refused = None
        try:
            steps(opt, p, 2, 6)
        except ValueError as error:
            refused = str(error)
        if refused is not None:
            assert f"param_groups[0][{key!r}]" in refused
            assert same(everything(opt, p), before)
            return
        steps(twin, q, 2, 6)
        assert same(everything(opt, p), everything(twin, q)) == ((name, key) in WITHOUT_EFFECT)
        if name in SHARED and key in optimizer(theirs(name), name)[0].param_groups[0]:
            other, r = optimizer(theirs(name), name)
            steps(other, r, 0, 2)
            other.param_groups[0][key] = value
            try:
                steps(other, r, 2, 6)
            except (KeyError, AttributeError, TypeError):
                return  # a state that it does not make in mid-training
            torch.testing.assert_close(p, r, rtol=1e-12, atol=1e-12)


@ours_alone
@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(("MARS", key) for key in ("lr_1d_factor", "betas_1d", "weight_decay_1d")),
        *(("Muon", key) for key in OF_ADAMW),
    ],
)
def test_keys_of_vectors(name: str, key: str) -> None:
    """Both hand them to AdamW, and then read what is for them alone."""
    ends = []
    from fastopt.torch._options import defaults_of

    old = defaults_of(mine(name)._formula)[key]
    for value in ({}, {key: edited(old, key)}):
        p = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
        opt = mine(name)([p], lr=0.05)
        for k in range(6):
            p.grad = torch.tensor([0.3, (-1.0) ** k, 0.7 - k], dtype=torch.float64)
            opt.step()
            if k == 2:
                opt.param_groups[0].update(value)
        ends.append(p.detach())
    assert not torch.equal(*ends)


@ours_alone
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(
    ("name", "options", "key", "value"),
    [
        ("Adafactor", {}, "beta1", 0.9),
        ("Adam", {}, "row_steps", True),
        ("AdamW", {}, "row_steps", True),
        ("MARS", {}, "optimize_1d", True),
        ("MARS", {"optimize_1d": True}, "optimize_1d", False),
        ("SOAP", {}, "merge_dims", True),
        ("SOAP", {}, "max_precond_dim", 3),
        ("SOAP", {"max_precond_dim": 1}, "max_precond_dim", 100),
        ("SOAP", {}, "precondition_1d", True),
        ("SOAP", {"precondition_1d": True}, "precondition_1d", False),
        ("Kron", {}, "max_size_triangular", 3),
        ("Kron", {}, "min_ndim_triangular", 3),
        ("Kron", {"memory_save_mode": "smart_one_diag"}, "memory_save_mode", "all_diag"),
        ("Kron", {"memory_save_mode": "all_diag"}, "memory_save_mode", None),
        ("Shampoo", {}, "block_size", 3),
        ("Shampoo", {"block_size": 2}, "block_size", 128),
        ("Shampoo", {}, "momentum", 0.5),
        ("Shampoo", {}, "grafting", "adam"),
    ],
)
def test_a_formula_with_other_states(
    name: str, options: dict[str, Any], key: str, value: Any, slow: bool
) -> None:
    """Refused at every step until the edit is taken back, and then all goes on as if it had never been."""

    def make() -> Any:
        shape = (8,) if key.endswith("_1d") else (4, 2)
        p = torch.nn.Parameter(torch.ones(*shape, 2)[..., 0] if slow else torch.ones(shape))
        groups = [{"params": [torch.nn.Parameter(torch.ones(3, 2))]}, {"params": [p]}]
        return mine(name)(groups, lr=0.1, **options), p

    def step(opt: Any, k: int) -> None:
        for group in opt.param_groups:
            for p in group["params"]:
                p.grad = torch.full_like(p, 1.0 + k)
        opt.step()

    (opt, p), (twin, q) = make(), make()
    step(opt, 0)
    step(twin, 0)
    old = opt.param_groups[1].get(key)
    opt.param_groups[1][key] = value
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"param_groups\[1\]\['{key}'\]: expected .*, got {value!r}"):
            step(opt, 1)
        assert torch.equal(p, q)
    if old is None:
        del opt.param_groups[1][key]
    else:
        opt.param_groups[1][key] = old
    for k in (1, 2):
        step(opt, k)
        step(twin, k)
    assert same(everything(opt, p), everything(twin, q))


@ours_alone
@pytest.mark.parametrize("name", ["Adam", "Adafactor"])
def test_a_damaged_state_is_no_edit(name: str) -> None:
    """What is missing was there: the state is named, whatever else was edited."""
    opt, p = optimizer(mine(name), name)
    steps(opt, p, 0, 2)
    part = "exp_avg" if name == "Adam" else "row_var"
    del opt.state[p][part]
    opt.param_groups[0]["amsgrad" if name == "Adam" else "relative_step"] = name == "Adam"
    with pytest.raises(ValueError, match=rf"params\[0\]: its state has begun but has no '{part}'"):
        steps(opt, p, 2, 3)


@ours_alone
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("key", [*OPTIONS, *ONE_FORM])
def test_what_is_not_a_groups_is_refused(key: str, slow: bool) -> None:
    def make() -> Any:
        p = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.float64)[:, ::2] if slow else torch.ones(4, 2))
        return mine("AdamW")([{"params": [p]}, {"params": [torch.nn.Parameter(torch.ones(2))]}]), p

    opt, p = make()
    for own in (p, *opt.param_groups[1]["params"]):
        own.grad = torch.ones_like(own)
    opt.step()
    opt.step()
    group, before = opt.param_groups[1], p.detach().clone()
    had, old = key in group, group.get(key)
    group[key] = OPTIONS.get(key, key != "decoupled_weight_decay")
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"param_groups\[1\]\['{key}'\]: expected .*, got "):
            opt.step()
    assert torch.equal(p, before)
    if key != "decoupled_weight_decay":  # which PyTorch's AdamW sets to True when it loads
        with pytest.raises(ValueError, match=rf"param_groups\[1\]\['{key}'\]"):
            make()[0].load_state_dict(opt.state_dict())
    with pytest.raises(ValueError, match=rf"param_groups\[1\]\['{key}'\]"):
        mine("AdamW")([{"params": [p]}, {"params": [torch.nn.Parameter(torch.ones(2))], key: group[key]}])
    if had:
        group[key] = old
    else:
        del group[key]
    opt.step()
    assert not torch.equal(p, before)


@ours_alone
def test_an_option_with_the_value_it_has_anyway() -> None:
    opt, p = optimizer(mine("AdamW"), "AdamW")
    opt.param_groups[0].update(clip_norm=None, nonfinite="propagate", clip_norm_type=2.0, name="mine")
    steps(opt, p, 0, 3)


def test_keys_of_a_host_are_its_own() -> None:
    """Wrappers write into groups, and into `defaults` too."""
    opt, p = optimizer(mine("AdamW"), "AdamW")
    opt.defaults["lookahead_step"] = 0
    for k in range(3):
        opt.param_groups[0]["lookahead_step"] = k
        before = p.detach().clone()
        steps(opt, p, k, k + 1)
        assert not torch.equal(p, before)


@ours_alone
@pytest.mark.parametrize("name", ["Adagrad", "RMSprop"])
def test_where_accumulators_begin(name: str) -> None:
    """An edit reaches the states that are made afterwards, and is refused where there are none to come."""
    key, (opt, p) = "initial_accumulator_value", optimizer(mine(name), name)
    late = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    steps(opt, p, 0, 2)
    opt.param_groups[0][key] = 0.25
    with pytest.raises(ValueError, match=rf"param_groups\[0\]\['{key}'\].*begun"):
        steps(opt, p, 2, 3)
    opt.state.clear()
    p.grad = torch.zeros_like(p)
    opt.step()
    assert any(bool((state >= 0.2).all()) for state in everything(opt, p)[1:] if state.dim())
    opt.param_groups[0]["params"].append(late)
    opt.param_groups[0][key] = 0.5
    late.grad = torch.zeros(3, dtype=torch.float64)
    opt.step()
    assert any(bool((state >= 0.4).all()) for state in everything(opt, late)[1:] if state.dim())


def after_edit(cls: Any, name: str, edit: Any) -> Any:
    """A parameter after two steps, an edit of the optimizer, and three more."""
    p = torch.nn.Parameter(torch.linspace(-1, 1, 5))
    opt = cls([p], lr=0.1)
    for k in range(5):
        if k == 2:
            edit(opt)
        p.grad = torch.linspace(0.5, 2.0, 5) * (k + 1)
        opt.step()
    return p.detach()


def another_dict(opt: Any) -> None:
    opt.param_groups[0] = {**opt.param_groups[0], "lr": 0.5}


def another_list(opt: Any) -> None:
    opt.param_groups = [dict(group, lr=0.5) for group in opt.param_groups]


def a_tuple(opt: Any) -> None:
    opt.param_groups[0].update(params=tuple(opt.param_groups[0]["params"]), lr=0.5)


def another_key(opt: Any) -> None:
    """As many keys as before, in other places."""
    group = opt.param_groups[0]
    group["added"] = 1
    opt.step()
    del group["added"]
    group["lr"] = group.pop("lr") * 5


def another_state(opt: Any) -> None:
    opt.state = dict(opt.state)
    opt.param_groups[0]["lr"] = 0.5


def appended(opt: Any) -> None:
    """A group that nobody added with add_param_group, of a parameter without a gradient so far."""
    opt.param_groups.append({**opt.param_groups[0], "params": [torch.nn.Parameter(torch.ones(2))], "lr": 7.0})


@pytest.mark.parametrize("edit", [another_dict, another_list, a_tuple, another_key, another_state, appended])
@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_what_stands_in_the_place_of_groups_and_states(name: str, edit: Any) -> None:
    """Replaced as a whole, by something equal but for its rate: the next step goes by what is there."""
    got, expected = (after_edit(cls(name), name, edit) for cls in (mine, theirs))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


CONTAINERS: dict[str, Any] = {
    "params in a set": lambda o: o.param_groups[0].update(params=set(o.param_groups[0]["params"])),
    "params as keys": lambda o: o.param_groups[0].update(params=dict.fromkeys(o.param_groups[0]["params"])),
    "params in a deque": lambda o: o.param_groups[0].update(params=deque(o.param_groups[0]["params"])),
    "params in a module": lambda o: o.param_groups[0].update(
        params=torch.nn.ParameterList(o.param_groups[0]["params"])
    ),
    "params as values": lambda o: o.param_groups[0].update(
        params={"w": o.param_groups[0]["params"][0]}.values()
    ),
    "groups in a tuple": lambda o: setattr(o, "param_groups", tuple(o.param_groups)),
    "groups in a deque": lambda o: setattr(o, "param_groups", deque(o.param_groups)),
    "a group of another kind": lambda o: o.param_groups.__setitem__(0, UserDict(o.param_groups[0])),
    "a state of another kind": lambda o: setattr(o, "state", UserDict(o.state)),
    "a parameter's state of another kind": lambda o: o.state.update(
        {p: UserDict(state) for p, state in o.state.items()}
    ),
}


@pytest.mark.parametrize("case", CONTAINERS)
@pytest.mark.parametrize("name", ["Adam", "NAdam", "SGD"])
def test_containers_of_any_kind(name: str, case: str) -> None:
    """As PyTorch's, which goes through them at every step. What is edited in them later is seen."""

    def change(opt: Any) -> None:
        CONTAINERS[case](opt)
        opt.step()
        for group in opt.param_groups:
            group["lr"] = 0.5

    got, expected = (after_edit(cls(name), name, change) for cls in (mine, theirs))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)


def test_a_parameter_appended_to_a_container_that_is_no_list() -> None:
    p, q = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    opt = mine("Adam")([p], lr=0.1)
    opt.param_groups[0]["params"] = held = deque([p])
    p.grad = q.grad = torch.ones(3)
    opt.step()
    held.append(q)
    opt.step()
    assert opt.state[q]["step"] == 1


NO_CONTAINERS: dict[str, tuple[Any, str]] = {
    "no params": (lambda o: o.param_groups[0].pop("params"), r"param_groups\[0\]: .* with 'params'"),
    "None": (lambda o: o.param_groups[0].update(params=None), r"param_groups\[0\]\['params'\]: .*NoneType"),
    "a dict": (
        lambda o: o.param_groups[0].update(params={"w": torch.ones(5)}),
        r"param_groups\[0\]\['params'\]: expected a list of tensors, got dict; pass list\(d.values\(\)\)",
    ),
    "a tensor": (
        lambda o: o.param_groups[0].update(params=torch.ones(5)),
        r"param_groups\[0\]\['params'\]: expected a list of tensors, got Tensor; pass \[tensor\]",
    ),
    "a generator": (
        lambda o: o.param_groups[0].update(params=(p for p in o.param_groups[0]["params"])),
        r"param_groups\[0\]\['params'\]: .*got generator; pass list",
    ),
    "a pair": (
        lambda o: o.param_groups[0].update(params=[("w", o.param_groups[0]["params"][0])]),
        r"param_groups\[0\]\['params'\]\[0\]: expected a tensor, got tuple",
    ),
    "one group": (lambda o: setattr(o, "param_groups", o.param_groups[0]), "param_groups: .*got dict"),
    "no groups": (lambda o: setattr(o, "param_groups", None), "param_groups: .*got NoneType"),
    "parameters": (
        lambda o: setattr(o, "param_groups", o.param_groups[0]["params"]),
        r"param_groups\[0\]: expected a dict, got Parameter",
    ),
    "no state": (lambda o: setattr(o, "state", None), "state: expected a dict, got NoneType"),
    "a list of states": (lambda o: setattr(o, "state", []), "state: expected a dict, got list"),
    "None as state": (
        lambda o: o.state.update(dict.fromkeys(o.param_groups[0]["params"])),
        r"params\[0\]: expected a dict as its state, got NoneType; to begin anew, delete it",
    ),
}


@ours_alone
@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("case", NO_CONTAINERS)
def test_what_holds_no_parameters_is_named(case: str, slow: bool) -> None:
    """Nothing is modified, and the next step goes on once all is as it was."""
    p = torch.nn.Parameter(torch.ones(5))
    opt = mine("Adam")([p], lr=0.1)
    if slow:
        opt.param_groups = tuple(opt.param_groups)
    p.grad = torch.ones(5)
    opt.step()
    before, groups, state, own = p.detach().clone(), opt.param_groups, opt.state, opt.state[p]
    params = groups[0]["params"]
    edit, words = NO_CONTAINERS[case]
    edit(opt)
    with pytest.raises((TypeError, ValueError), match=words):
        opt.step()
    assert torch.equal(p, before)
    assert own["step"] == 1
    opt.param_groups, opt.state, opt.state[p], groups[0]["params"] = groups, state, own, params
    opt.step()
    assert opt.state[p]["step"] == 2


@ours_alone
def test_an_empty_dict_as_state_begins_anew() -> None:
    """PyTorch's has no entry for the parameter then, and fails."""
    p = torch.nn.Parameter(torch.ones(5))
    opt = mine("Adam")([p], lr=0.1)
    p.grad = torch.ones(5)
    opt.step()
    opt.state = {}
    opt.step()
    assert opt.state[p]["step"] == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_parameter_appended_to_a_group_with_names(begun: bool) -> None:
    """It has none; errors give its number alone."""
    p, q = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    opt = mine("Adam")([("w", p)], lr=0.1)
    p.grad = q.grad = torch.ones(3)
    if begun:
        opt.step()
    opt.param_groups[0]["params"].append(q)
    opt.step()
    assert opt.state[q]["step"] == 1
