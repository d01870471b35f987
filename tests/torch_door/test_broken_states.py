"""States and state dicts that are damaged or of another class: named by parameter, and nothing changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import fastopt.torch as ours  # noqa: E402


def trained(name: str = "Adam", slow: bool = False, **options: Any) -> tuple[Any, Any]:
    """A parameter that is called "w", and its optimizer after two steps; `slow`: taken by Python."""
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(4, 3))
    opt = getattr(ours, name)([("w", p)], lr=0.01, **options)
    if slow:
        opt.param_groups = tuple(opt.param_groups)
    step(opt, p)
    step(opt, p)
    return opt, p


def step(opt: Any, p: Any) -> None:
    p.grad = torch.ones_like(p)
    opt.step()


def everything(opt: Any, p: Any) -> Any:
    return copy.deepcopy((p.detach(), opt.state_dict()))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return bool(torch.equal(a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


NAMES = ["ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop"]


@pytest.mark.parametrize("name", NAMES)
def test_a_state_dict_of_sgd_is_refused_and_nothing_changed(name: str) -> None:
    q = torch.nn.Parameter(torch.ones(4, 3))
    other = torch.optim.SGD([q], lr=0.5, momentum=0.9)
    step(other, q)
    opt, p = trained(name)
    before = everything(opt, p)
    with pytest.raises((TypeError, ValueError)):
        opt.load_state_dict(other.state_dict())
    assert same(everything(opt, p), before)
    step(opt, p)
    assert opt.state[p]["step"] == 3


def without(saved: dict[str, Any], *path: Any) -> dict[str, Any]:
    inner = saved
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return saved


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (("state", 0, "exp_avg"), r"params\[0\].*exp_avg"),
        (("state", 0, "step"), "step"),
        (("param_groups", 0, "betas"), "betas"),
        (("param_groups", 0, "lr"), "lr"),
    ],
)
def test_a_state_dict_that_lacks_a_part_is_refused(path: tuple[Any, ...], message: str) -> None:
    opt, p = trained()
    before = everything(opt, p)
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(without(copy.deepcopy(opt.state_dict()), *path))
    assert same(everything(opt, p), before)


def complex_state(opt: Any, p: Any) -> None:
    opt.state[p]["exp_avg"] = torch.zeros(4, 3, dtype=torch.complex64)


def shared_state(opt: Any, p: Any) -> None:
    opt.state[p]["exp_avg"] = opt.state[p]["exp_avg_sq"]


def parameter_in_its_state(opt: Any, p: Any) -> None:
    p.data = opt.state[p]["exp_avg"]


def no_state(opt: Any, p: Any) -> None:
    del opt.state[p]["exp_avg_sq"]


def text(opt: Any, p: Any) -> None:
    opt.state[p] = "nothing"


def resized(opt: Any, p: Any) -> None:
    opt.state[p]["exp_avg"].resize_(50, 20)


def other_step(value: float) -> Any:
    def change(opt: Any, p: Any) -> None:
        opt.state[p]["step"] = torch.tensor(value)

    return change


def step_in_place(value: float) -> Any:
    def change(opt: Any, p: Any) -> None:
        opt.state[p]["step"].fill_(value)

    return change


def edited_step(opt: Any, p: Any) -> None:
    opt.state[p]["step"].fill_(2.5)


@pytest.mark.parametrize(
    "change",
    [
        complex_state,
        shared_state,
        parameter_in_its_state,
        no_state,
        text,
        resized,
        edited_step,
        *map(other_step, (2.5, -1.0, float("nan"), float("inf"))),
        *map(step_in_place, (-1.0, float("nan"), float("inf"), 2.0**54)),
    ],
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_damaged_state_is_named_and_the_parameter_kept(change: Any, slow: bool) -> None:
    opt, p = trained(slow=slow)
    change(opt, p)
    before = p.detach().clone()
    with pytest.raises((TypeError, ValueError), match=r"params\[0\] \(w\)"):
        step(opt, p)
    assert torch.equal(p.detach(), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize("name", ["Adam", "NAdam"])
def test_numbers_of_a_state_that_move_are_followed(name: str, shape: Any, dtype: Any) -> None:
    """The same tensor objects, over other memory: of another dtype, or with an axis."""
    results = []
    for cls in (getattr(ours, name), getattr(torch.optim, name)):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 5))
        opt = cls([p], lr=0.1)
        for k in range(6):
            if k == 3:
                state = opt.state[p]
                state["step"].data = torch.full(shape, 40, dtype=dtype)
                if name == "NAdam" and dtype.is_floating_point:
                    state["mu_product"].data = torch.full(shape, 0.5, dtype=dtype)
            p.grad = torch.linspace(0.5, 2.0, 5) * (k + 1)
            opt.step()
        assert opt.state[p]["step"] == 43
        results.append(p.detach())
    # in bfloat16 PyTorch computes with mu_product as it is kept
    rtol = 1e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(*results, rtol=rtol, atol=rtol)


NEGATED: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "a moment": ("Adam", "exp_avg", torch.float32, {}),
    "a step": ("Adam", "step", torch.float32, {}),
    "a number": ("NAdam", "mu_product", torch.float32, {}),
    "an average": ("Adam", "ema", torch.float32, {"ema_decay": 0.9}),
    "of another shape": ("Adafactor", "row_var", torch.float32, {"lr": 0.1}),
    "scales": ("SGD", "momentum_buffer.scales", torch.float32, {"state_dtype": {"momentum_buffer": "int8"}}),
    "lower bits": ("AdamW", "remainder", torch.bfloat16, {"master": "split16"}),
    "what rounding leaves out": ("AdamW", "remainder", torch.bfloat16, {"rounding": "kahan"}),
}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("same_object", [False, True])
@pytest.mark.parametrize("case", NEGATED)
def test_a_state_that_becomes_a_negated_view(case: str, same_object: bool, slow: bool) -> None:
    """Whose memory holds the other sign: it is what it says it is, not what its memory holds."""
    name, key, dtype, options = NEGATED[case]
    ends = []
    for negated in (False, True):
        p = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4).to(dtype))
        if name == "SGD":
            options = {**options, "momentum": 0.9}
        opt = getattr(ours, name)([p], **options)
        if slow:
            opt.param_groups = tuple(opt.param_groups)
        for k in range(5):
            p.grad = torch.linspace(0.5, 2.0, 12).reshape(3, 4).to(dtype) * (k + 1)
            if k == 2:
                state = opt.state[p]
                value = torch._neg_view(-state[key]) if negated else state[key].clone()
                if same_object:
                    state[key].data = value
                else:
                    state[key] = value
            opt.step()
        ends.append((p.detach(), opt.state[p]))
    assert torch.equal(ends[0][0], ends[1][0])
    assert all(torch.equal(ends[0][1][key], value) for key, value in ends[1][1].items())


def emptied(tensor: Any) -> Any:
    tensor.untyped_storage().resize_(0)
    return tensor


def shortened(tensor: Any) -> Any:
    """As hosts do that free memory; a step would write beyond what is left."""
    storage = tensor.untyped_storage()
    storage.resize_(storage.nbytes() // 2)
    return tensor


NOWHERE: dict[str, Any] = {
    "emptied": emptied,
    "shortened": shortened,
    "meta": lambda tensor: tensor.to("meta"),
    "sparse": lambda tensor: tensor.to_sparse(),
    "text": lambda tensor: "nothing",
}


def with_state(case: str, slow: bool = False) -> tuple[Any, Any, str]:
    name, key, dtype, options = NEGATED[case]
    p = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4).to(dtype))
    opt = getattr(ours, name)([("w", p)], **options, **({"momentum": 0.9} if name == "SGD" else {}))
    if slow:
        opt.param_groups = tuple(opt.param_groups)
    step(opt, p)
    return opt, p, key


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("kind", NOWHERE)
@pytest.mark.parametrize("case", NEGATED)
def test_a_state_without_its_memory_is_named_and_the_parameter_kept(case: str, kind: str, slow: bool) -> None:
    opt, p, key = with_state(case, slow)
    opt.state[p][key] = NOWHERE[kind](opt.state[p][key])
    before = p.detach().clone()
    with pytest.raises((TypeError, ValueError), match=r"params\[0\] \(w\): .*state"):
        step(opt, p)
    assert torch.equal(p.detach(), before)


@pytest.mark.parametrize("slow", [False, True])
def test_what_others_keep_beside_a_state_may_have_no_memory(slow: bool) -> None:
    opt, p = trained(slow=slow)
    opt.state[p]["mine"] = torch.eye(3).to_sparse()
    step(opt, p)
    assert opt.state[p]["step"] == 3


@pytest.mark.parametrize("slow", [False, True])
def test_a_parameter_that_becomes_sparse_is_named(slow: bool) -> None:
    opt, p = trained(slow=slow)
    p.grad = None
    torch.utils.swap_tensors(p, torch.nn.Parameter(torch.eye(4, 3).to_sparse()))
    p.grad = torch.ones(4, 3).to_sparse()
    with pytest.raises(TypeError, match=r"params\[0\] \(w\): expected a dense .*, but it is sparse"):
        opt.step()


@pytest.mark.parametrize("case", NEGATED)
def test_a_state_of_zeros_without_memory(case: str) -> None:
    """What PyTorch makes for tangents that are zero; its own classes cannot write it."""
    ends = []
    for make in (torch._efficientzerotensor, torch.zeros):
        opt, p, key = with_state(case)
        there = opt.state[p][key]
        opt.state[p][key] = make(there.shape, dtype=there.dtype)
        step(opt, p)
        ends.append(p.detach())
    assert torch.equal(*ends)


@pytest.mark.parametrize(
    "average", ["text", torch.ones(1), torch.ones(3), torch.ones(4, 3, device="meta")], ids=repr
)
def test_an_average_that_is_none_is_named_before_it_is_shown(average: Any) -> None:
    """One of another shape would be spread over the parameter."""
    opt, p = trained(ema_decay=0.9)
    opt.state[p]["ema"] = average
    before = p.detach().clone()
    with pytest.raises(ValueError, match=r"params\[0\] \(w\): state 'ema': expected"), opt.ema_weights():
        pass
    assert torch.equal(p, before)
    del opt.state[p]["ema"]
    step(opt, p)


@pytest.mark.parametrize("name", ["Adam", "NAdam", "Prodigy", "SOAP", "Adafactor"])
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "state_dtype": "int8"}])
def test_states_are_made_on_the_cpu_whatever_the_default_device(name: str, options: Any) -> None:
    p = torch.nn.Parameter(torch.ones(64, 80))
    if name in ("SOAP", "Adafactor"):
        options = {}
    with torch.device("meta"):
        opt = getattr(ours, name)([p], **options)
        for _ in range(2):
            p.grad = torch.ones(64, 80, device="cpu")
            opt.step()
    assert all(value.device.type == "cpu" for value in opt.state[p].values())
    assert opt.state[p]["step"] == 2


def test_a_state_as_gradient_is_refused() -> None:
    opt, p = trained("SGD", momentum=0.9)
    p.grad = opt.state[p]["momentum_buffer"]
    with pytest.raises(ValueError, match=r"gradient of params\[0\] \(w\): shares memory"):
        opt.step()


def test_one_step_tensor_for_two_parameters_is_refused() -> None:
    a, b = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
    opt = ours.Adam([a, b])
    a.grad, b.grad = torch.ones(3), torch.ones(3)
    opt.step()
    opt.state[a]["step"] = opt.state[b]["step"]
    with pytest.raises(ValueError, match=r"params\[1\]: its step shares memory with params\[0\]"):
        opt.step()


def test_storages_can_be_resized_after_a_step() -> None:
    """As hosts do that free parameters while they are not needed."""
    opt, p = trained()
    kept = p.detach().clone()
    storage = p.untyped_storage()
    bytes_of_it = storage.nbytes()
    assert storage.resizable()
    storage.resize_(0)
    p.grad = torch.ones(4, 3)
    with pytest.raises(TypeError, match=r"params\[0\] \(w\).*has no memory"):
        opt.step()
    storage.resize_(bytes_of_it - 4)
    with pytest.raises(TypeError, match=r"params\[0\] \(w\).*has less memory than its shape needs"):
        opt.step()
    storage.resize_(bytes_of_it)
    with torch.no_grad():
        p.copy_(kept)
    twin, q = trained()
    for _ in range(3):
        step(opt, p)
        step(twin, q)
    assert torch.equal(p, q)


@pytest.mark.parametrize("size", [0, 8])
def test_a_parameter_without_its_memory_beside_a_rate_in_a_tensor(size: int) -> None:
    """Values that may change in place are read before it is looked at."""
    opt, p = trained(eps=torch.tensor(1e-8))
    p.untyped_storage().resize_(size)
    p.grad = torch.ones(4, 3)
    with pytest.raises(TypeError, match=r"params\[0\] \(w\).* memory"):
        opt.step()


def test_a_loaded_step_that_is_no_number_is_named() -> None:
    opt, p = trained()
    saved = copy.deepcopy(opt.state_dict())
    saved["state"][0]["step"] = torch.ones(2)
    before = everything(opt, p)
    with pytest.raises((TypeError, ValueError), match=r"params\[0\]: state 'step': expected a number"):
        opt.load_state_dict(saved)
    assert same(everything(opt, p), before)


@pytest.mark.parametrize("kind", [tuple, list])
def test_parameters_of_a_group_in_a_tuple(kind: Any) -> None:
    opt, p = trained()
    opt.param_groups[0]["params"] = kind(opt.param_groups[0]["params"])
    step(opt, p)
    step(opt, p)
    assert opt.state[p]["step"] == 4


def test_no_copy_inside_averages() -> None:
    opt, _ = trained(ema_decay=0.9)
    with opt.ema_weights(), pytest.raises(RuntimeError, match="averages"):
        copy.deepcopy(opt)


def test_a_tensor_of_inference_mode() -> None:
    with torch.inference_mode():
        made = torch.ones(3)
    opt = ours.SGD([made], lr=0.1)
    made.grad = torch.ones(3)
    with pytest.raises(TypeError, match=r"params\[0\].*inference mode"):
        opt.step()
    assert made.tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Adafactor", "Muon", "ScheduleFreeSGD"])
def test_a_parameter_of_inference_mode_is_stepped_there(name: str) -> None:
    """As one that was made outside; a step outside is refused, also with a plan that was made inside."""

    def made(inside: bool) -> tuple[Any, Any]:
        with torch.inference_mode(inside):
            p = torch.nn.Parameter(torch.ones(4, 3))
        assert p.is_inference() == inside
        return p, getattr(ours, name)([("w", p)], lr=0.1)

    (p, opt), (q, twin) = made(True), made(False)
    for k in range(3):
        for parameter in (p, q):
            parameter.grad = torch.full((4, 3), 0.5 * k)
        with pytest.raises(TypeError, match=r"params\[0\] \(w\): .*inference mode"):
            opt.step()
        with torch.inference_mode():
            opt.step()
        twin.step()
        assert torch.equal(p, q)
        assert opt.state[p].get("step", 0) == twin.state[q].get("step", 0)
    opt.add_param_group({"params": [("late", made(True)[0])]})
    opt.load_state_dict(opt.state_dict())
    with torch.inference_mode():
        opt.step()


def off_by_one_byte(numbers: Any) -> Any:
    memory = bytearray(numbers.numel() * numbers.element_size() + 1)
    held = torch.frombuffer(memoryview(memory)[1:], dtype=numbers.dtype).view(numbers.shape)
    return held.copy_(numbers)


def test_memory_that_is_not_aligned() -> None:
    """Of a parameter it is refused, in words of tensors; of a gradient it is read, of gaps in a copy."""
    p = torch.nn.Parameter(off_by_one_byte(torch.ones(4)))
    opt = ours.SGD([("w", p)], lr=0.5)
    p.grad = torch.ones(4)
    words = (
        r"params\[0\] \(w\): expected .* tensor .*, but it begins at an address that is no multiple of its 4"
    )
    with pytest.raises(TypeError, match=words):
        opt.step()
    assert p.tolist() == [1, 1, 1, 1]
    p.data = torch.ones(4)
    opt.step()
    p.grad = off_by_one_byte(torch.ones(4))
    opt.step()
    assert p.tolist() == [0, 0, 0, 0]
    p.data = off_by_one_byte(torch.ones(4))
    with pytest.raises(TypeError, match=words):
        opt.step()
    p.data = off_by_one_byte(torch.ones(4, 2))[:, 0]
    opt.step()
    assert p.tolist() == [0.5, 0.5, 0.5, 0.5]


#: Every class of the door, with what gives it all its states.
ALL = sorted(
    name
    for name in ours.__all__
    if isinstance(getattr(ours, name), type) and hasattr(getattr(ours, name), "_formula")
)


@pytest.mark.parametrize("name", ALL)
def test_a_part_that_is_missing_is_noticed(name: str) -> None:
    """An array, the number of steps or a rule's own: without it training would go on, wrongly."""
    parts = trained(name)[0].state_dict()["state"].get(0, {})
    if set(parts) == {"step"}:
        return  # SignSGD's: without it nothing is left that has begun
    for key in set(parts) - {"momentum_buffer"}:  # which may be switched on late, and then begins
        opt, p = trained(name)
        del opt.state[p][key]
        before = p.detach().clone()
        p.grad = torch.ones_like(p)
        with pytest.raises(ValueError, match=rf"\(w\): its state has begun but has no '{key}'"):
            opt.step()
        assert torch.equal(p.detach(), before)


@pytest.mark.parametrize("name", ALL)
def test_integers_are_no_numbers_of_a_rule(name: str) -> None:
    options = {} if name.startswith("ScheduleFree") else {"ema_decay": 0.9}
    for key in set(trained(name, **options)[0].state_dict()["state"].get(0, {})) - {"step"}:
        opt, p = trained(name, **options)
        opt.state[p][key] = opt.state[p][key].to(torch.int32)
        p.grad = torch.ones_like(p)
        with pytest.raises(TypeError, match=rf"\(w\): state '{key}': expected a floating-point tensor"):
            opt.step()


@pytest.mark.parametrize("filled", [("exp_avg",), ("exp_avg", "exp_avg_sq")])
def test_zeros_laid_out_before_the_first_step_are_no_beginning(filled: Any) -> None:
    p, q = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
    opt, twin = ours.Adam([p], lr=0.1), ours.Adam([q], lr=0.1)
    for key in filled:
        opt.state[p][key] = torch.zeros(4)
    step(opt, p)
    step(twin, q)
    assert torch.equal(p.detach(), q.detach())


@pytest.mark.parametrize(
    ("saved", "error", "words"),
    [
        (None, TypeError, "^load_state_dict: expected a dict, got NoneType$"),
        ([1], TypeError, "^load_state_dict: expected a dict, got list$"),
        (5, TypeError, "^load_state_dict: expected a dict, got int$"),
        ({}, KeyError, "^load_state_dict: expected 'param_groups' in it; is it another class's"),
        ({}, ValueError, "^load_state_dict: expected 'param_groups' in it; is it another class's"),
        ({"fastopt": {}}, KeyError, "^load_state_dict: expected 'param_groups' in it"),
        ({"param_groups": []}, KeyError, "^load_state_dict: expected 'state' in it"),
        (
            {"state": {}, "param_groups": None},
            TypeError,
            "'param_groups': expected a list of dicts, got NoneType",
        ),
        ({"state": {}, "param_groups": {}}, TypeError, "'param_groups': expected a list of dicts, got dict"),
        ({"state": {}, "param_groups": [1]}, TypeError, r"param_groups\[0\]: expected a dict, got int"),
        ({"state": {}, "param_groups": [{}]}, KeyError, "expected 'params' in it"),
        ({"state": [], "param_groups": []}, TypeError, "'state': expected a dict, got list"),
        ({"state": None, "param_groups": []}, TypeError, "'state': expected a dict, got NoneType"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["AdamW", "Muon", "Prodigy"])
def test_what_is_no_state_dict(name: str, saved: Any, error: Any, words: str) -> None:
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    opt = getattr(ours, name)([p])
    opt.step()
    before = str(opt.state_dict())
    with pytest.raises(error, match=words):
        opt.load_state_dict(saved)
    assert str(opt.state_dict()) == before
    opt.register_load_state_dict_pre_hook(lambda o, s: {"state": {}, "param_groups": o.param_groups})
    if isinstance(saved, dict) and "fastopt" not in saved:
        opt.load_state_dict({**saved, "param_groups": [], "state": {}})  # a hook may have made it good
