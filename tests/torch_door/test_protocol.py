"""What surrounds a step: hooks, closures, GradScaler, compilation, threads, processes, memory."""

from __future__ import annotations

import copy
import gc
import inspect
import threading
import tracemalloc
import warnings
import weakref
from typing import Any

import pytest

from torch_door.door import (
    EVERY,
    FILLS_FIRST,
    MOVING,
    SHARED,
    clones,
    drive,
    equal,
    given,
    mine,
    model,
    ours_alone,
    theirs,
    torch,
)


def one(name: str = "AdamW", **keywords: Any) -> tuple[Any, Any]:
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    return p, mine(name)([p], **keywords)


# --- hooks ---


@pytest.mark.parametrize("name", EVERY)
def test_hooks_of_a_step_run_in_order_and_can_be_removed(name: str) -> None:
    p, opt = one(name, **MOVING.get(name, {}))
    seen: list[Any] = []
    before = p.detach().clone()
    if name in FILLS_FIRST:
        opt.step()

    def pre(o: Any, args: Any, kwargs: Any) -> None:
        seen.append(("pre", o is opt, torch.equal(p, before), args, kwargs))

    def post(o: Any, args: Any, kwargs: Any) -> None:
        seen.append(("post", o is opt, torch.equal(p, before)))

    handles = [opt.register_step_pre_hook(pre), opt.register_step_post_hook(post)]
    opt.step()
    assert [entry[:3] for entry in seen] == [("pre", True, True), ("post", True, False)]
    for handle in handles:
        handle.remove()
    opt.step()
    assert len(seen) == 2


def test_global_hooks() -> None:
    from torch.optim import optimizer  # not an attribute: the package deletes it

    _, opt = one()
    seen: list[str] = []
    handles = [
        optimizer.register_optimizer_step_pre_hook(lambda o, a, k: seen.append("pre")),
        optimizer.register_optimizer_step_post_hook(lambda o, a, k: seen.append("post")),
    ]
    try:
        opt.step()
    finally:
        for handle in handles:
            handle.remove()
    opt.step()
    assert seen == ["pre", "post"]


def test_a_hook_may_change_gradients_and_the_arguments() -> None:
    results = []
    for cls in (mine("SGD"), theirs("SGD")):
        p = torch.nn.Parameter(torch.ones(3))
        opt = cls([p], lr=0.1)
        calls: list[str] = []

        def pre(o: Any, args: Any, kwargs: Any, p: Any = p, calls: Any = calls) -> Any:
            p.grad = torch.full((3,), 5.0)
            return (args[0], lambda: calls.append("replaced") or 7.0), {}

        opt.register_step_pre_hook(pre)
        loss = opt.step(lambda calls=calls: calls.append("given"))
        results.append((p.tolist(), calls, loss))
    assert results[0] == results[1]


def test_hooks_of_state_dicts() -> None:
    _, opt = one()
    opt.step()
    seen: list[str] = []

    def changed(o: Any, state_dict: Any) -> Any:
        seen.append("post")
        return {**state_dict, "mark": 1}

    def unmarked(o: Any, state_dict: Any) -> Any:
        seen.append("load pre")
        return {k: v for k, v in state_dict.items() if k != "mark"}

    opt.register_state_dict_pre_hook(lambda o: seen.append("pre"))
    opt.register_state_dict_post_hook(changed)
    opt.register_load_state_dict_pre_hook(unmarked)
    opt.register_load_state_dict_post_hook(lambda o: seen.append("load post"))
    saved = opt.state_dict()
    assert saved["mark"] == 1
    opt.load_state_dict(saved)
    assert seen == ["pre", "post", "load pre", "load post"]


def test_hooks_of_loading_may_change_what_is_loaded() -> None:
    p, opt = one()
    opt.step()

    def faster(o: Any, state_dict: Any) -> Any:
        new = copy.deepcopy(state_dict)
        new["param_groups"][0]["lr"] = 0.5
        new["state"][0]["exp_avg"] *= 2
        return new

    before = opt.state[p]["exp_avg"].clone()
    opt.register_load_state_dict_pre_hook(faster)
    opt.load_state_dict(opt.state_dict())
    assert opt.param_groups[0]["lr"] == 0.5
    assert torch.equal(opt.state[p]["exp_avg"], 2 * before)


# --- closures and wrappers ---


@pytest.mark.parametrize("name", EVERY)
def test_a_closure_is_called_once_with_gradients_on(name: str) -> None:
    net, loss_of = model()
    opt = mine(name)(net.parameters(), **MOVING.get(name, {}))
    calls = []

    def closure() -> Any:
        calls.append(torch.is_grad_enabled())
        opt.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    before = [p.detach().clone() for p in net.parameters()]
    if name in FILLS_FIRST:
        loss_of().backward()
        opt.step()
    with torch.no_grad():
        loss = opt.step(closure)
    assert calls == [True]
    assert torch.is_tensor(loss)
    assert not equal(list(net.parameters()), before)
    assert opt.step(closure=closure) is not None
    assert opt.step() is None


def test_an_error_in_a_closure_passes_through_and_changes_nothing() -> None:
    p, opt = one()
    with pytest.raises(ZeroDivisionError):
        opt.step(lambda: 1 / 0)
    assert p.tolist() == [1, 1, 1]
    assert not opt.state
    opt.step()


class Raises(torch.overrides.TorchFunctionMode):  # type: ignore[misc]
    """Sees every operation that Python asks of tensors, and fails at one of them."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError
        return func(*args, **(kwargs or {}))


@ours_alone
@pytest.mark.parametrize("slow", [False, True])
def test_an_error_in_a_mode_of_torch_functions_passes_through_and_changes_nothing(slow: bool) -> None:
    """Whatever a step asks of a tensor; once nothing fails, the step is what it would have been."""
    p, opt = one("Adam")
    q, twin = one("Adam")
    if slow:
        opt.param_groups = tuple(opt.param_groups)
    for _ in range(2):
        opt.step()
        twin.step()
    failed = 0
    for at in range(1, 100):
        p.grad, q.grad = torch.full((3,), float(at)), torch.full((3,), float(at))
        before = p.detach().clone(), copy.deepcopy(opt.state_dict()["state"])
        mode = Raises(at)
        try:
            with mode:
                opt.step()
        except ZeroDivisionError:
            failed += 1
            assert torch.equal(p, before[0])
            assert str(opt.state_dict()["state"]) == str(before[1])
            opt.step()
        twin.step()
        assert torch.equal(p, q)
        if mode.left > 0:
            break
    assert failed >= 3, "a mode no longer sees the step"


def test_the_step_may_be_replaced_and_subclassed() -> None:
    """accelerate patches ``opt.step``; Lightning subclasses and copies ``__dict__``."""
    p, opt = one()
    seen = []
    plain = opt.step

    def patched(*args: Any, **kwargs: Any) -> Any:
        seen.append(1)
        return plain(*args, **kwargs)

    opt.step = patched
    opt.step()
    assert seen == [1]

    class Sub(mine("AdamW")):  # type: ignore[misc]
        def step(self, closure: Any = None) -> Any:
            seen.append(2)
            return super().step(closure)

    q = torch.nn.Parameter(torch.ones(3))
    q.grad = torch.ones(3)
    Sub([q]).step()
    assert seen == [1, 2]
    assert torch.equal(p, q)


def test_a_profiler_sees_the_step() -> None:
    _, opt = one()
    opt.step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        opt.step()
    assert any("Optimizer.step#AdamW.step" in event.key for event in profile.key_averages())


def test_clipping_by_pytorchs_function_before_the_step() -> None:
    params, grads = given(torch.float32)
    results = []
    for cls in (mine("SGD"), theirs("SGD")):
        own = clones(params)
        opt = cls(own, lr=0.1)
        for row in grads:
            for p, g in zip(own, row, strict=True):
                p.grad = None if g is None else g.clone()
            torch.nn.utils.clip_grad_norm_(own, 1.0)
            opt.step()
        results.append(own)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


# --- GradScaler ---


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_grad_scaler(name: str, fused: bool | None) -> None:
    """By the default path, which unscales before the step, and the fused one, which leaves it to the step."""

    def run(cls: Any) -> tuple[list[Any], float]:
        net, loss_of = model()
        opt = cls(net.parameters(), lr=0.01, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=5)
        for k in range(20):
            opt.zero_grad()
            loss = loss_of() * (float("inf") if k in (3, 11) else 1.0)
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        return list(net.parameters()), scaler.get_scale()

    (got, scale), (want, their_scale) = run(mine(name)), run(theirs(name))
    assert scale == their_scale
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fused", [None, True])
def test_unscaling_and_clipping_before_the_step(fused: bool | None) -> None:
    def run(cls: Any) -> list[Any]:
        net, loss_of = model()
        opt = cls(net.parameters(), lr=0.01, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        for _ in range(10):
            opt.zero_grad()
            scaler.scale(loss_of()).backward()
            scaler.unscale_(opt)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(opt)
            scaler.update()
        return list(net.parameters())

    for a, b in zip(run(mine("AdamW")), run(theirs("AdamW")), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad"])
def test_the_fused_contract(name: str) -> None:
    """`grad_scale` and `found_inf` are attributes for the time of a step."""
    results = []
    for cls in (mine(name), theirs(name)):
        p = torch.nn.Parameter(torch.ones(4))
        opt = cls([p], lr=0.1, fused=True)
        for k in range(6):
            p.grad = torch.full((4,), 8.0 * (k + 1))
            opt.grad_scale = torch.tensor(8.0)
            opt.found_inf = torch.tensor(1.0 if k == 2 else 0.0)
            opt.step()
            del opt.grad_scale, opt.found_inf
        steps = opt.state[p].get("step")
        results.append((p.detach().clone(), None if steps is None else float(steps)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-6, atol=1e-6)
    assert results[0][1] == results[1][1]


# --- threads, processes, memory ---


def test_threads_with_optimizers_of_their_own() -> None:
    params, grads = given(torch.float32)
    want = clones(params)
    drive(mine("AdamW")(want), want, grads)
    got = [clones(params) for _ in range(4)]

    def work(own: Any) -> None:
        drive(mine("AdamW")(own), own, grads)

    threads = [threading.Thread(target=work, args=(own,)) for own in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(equal(own, want) for own in got)


def test_two_threads_and_one_optimizer_do_not_break_it() -> None:
    """Steps take turns or raise; the count of steps says how many were taken."""
    p = torch.nn.Parameter(torch.ones(100_000))
    p.grad = torch.ones_like(p)
    opt = mine("AdamW")([p])
    opt.step()
    taken, failed = [0, 0], []

    def work(i: int) -> None:
        for _ in range(40):
            try:
                opt.step()
                taken[i] += 1
            except RuntimeError as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bool(torch.isfinite(p.detach()).all())
    assert sum(taken) + len(failed) == 80
    if not failed:
        assert opt.state[p]["step"] == 81


class Numbers(torch.utils.data.Dataset):  # type: ignore[misc]
    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> Any:
        w = torch.nn.Parameter(torch.ones(3))
        w.grad = torch.full((3,), float(i))
        mine("SGD")([w], lr=1.0).step()  # in the worker too
        return w.detach()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_that_are_forked() -> None:
    p, opt = one()
    opt.step()
    loader = torch.utils.data.DataLoader(
        Numbers(), batch_size=2, num_workers=2, multiprocessing_context="fork"
    )
    for batch in loader:
        p.grad = batch[0].clone()
        opt.step()
    assert torch.equal(torch.cat(list(loader)), 1 - torch.arange(8.0)[:, None].expand(8, 3))
    assert opt.state[p]["step"] == 5


@pytest.mark.parametrize("name", EVERY)
def test_everything_goes_with_the_optimizer(name: str) -> None:
    params = [torch.nn.Parameter(torch.ones(50)) for _ in range(3)]
    for p in params:
        p.grad = torch.ones(50)
    opt = mine(name)(params)
    opt.step()
    opt.step()
    seen = [weakref.ref(opt), *(weakref.ref(p) for p in params)]
    seen += [weakref.ref(v) for s in opt.state.values() for v in s.values() if torch.is_tensor(v)]
    del opt, params, p
    gc.collect()
    assert [ref() for ref in seen] == [None] * len(seen)


def test_gradients_go_when_they_are_set_to_none() -> None:
    p, opt = one()
    opt.step()
    ref = weakref.ref(p.grad)
    opt.zero_grad()
    assert ref() is None


def test_steps_do_not_accumulate_memory() -> None:
    params = [torch.nn.Parameter(torch.ones(10)) for _ in range(20)]
    opt = mine("AdamW")(params)

    def work(times: int) -> None:
        for _ in range(times):
            for p in params:
                p.grad = torch.ones(10)
            opt.step()
            opt.load_state_dict(opt.state_dict())
            copy.deepcopy(opt)

    work(5)
    gc.collect()
    tracemalloc.start()
    try:
        work(2)
        first = tracemalloc.get_traced_memory()[0]
        work(30)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - first < 50_000
    finally:
        tracemalloc.stop()


# --- what comes on top ---


def with_bases(tensors: list[Any]) -> list[Any]:
    """Wide matrices cut to squares: after its first gradient most eigenvalues of a long side are 0, and any
    basis of their space is as good as the one that rounding chooses (in float64 steps are as far apart).
    """
    return [t if t is None or t.dim() != 2 else t.detach()[:, : len(t)].clone() for t in tensors]


@ours_alone
@pytest.mark.parametrize("name", EVERY)
def test_clip_norm_is_clip_grad_norm(name: str) -> None:
    params, grads = given(torch.float32)
    if name == "SOAP":
        params, grads = with_bases(params), [with_bases(row) for row in grads]
    left, right = clones(params), clones(params)
    opt, plain = mine(name)(left, clip_norm=1.0), mine(name)(right)
    for row in grads:
        for p, q, g in zip(left, right, row, strict=True):
            p.grad, q.grad = (None, None) if g is None else (g.clone(), g.clone())
        norm = torch.nn.utils.clip_grad_norm_(right, 1.0)
        opt.step()
        plain.step()
        assert opt.grad_norm == pytest.approx(float(norm), rel=1e-5)
    bound = 1e-2 if name in ("SignSGD", "Lion", "Rprop") else 1e-4
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=bound, atol=bound)


@ours_alone
def test_the_average_of_the_weights() -> None:
    params, grads = given(torch.float32, holes=False)
    opt = mine("AdamW")(params, lr=0.1, ema_decay=0.9)
    drive(opt, params, grads[:1])
    average = [p.detach().clone() for p in opt.ema]
    for row in grads[1:]:
        drive(opt, params, [row])
        average = [a + 0.1 * (p.detach() - a) for a, p in zip(average, params, strict=True)]
    for a, b in zip(opt.ema, average, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-5, atol=1e-6)
    own = [p.detach().clone() for p in params]
    with opt.ema_weights():
        assert equal(params, list(opt.ema))
        with pytest.raises(RuntimeError, match="ema_weights"):
            opt.step()
    assert equal(params, own)
    saved = opt.state_dict()
    assert "ema" in saved["state"][1]


@ours_alone
def test_a_step_that_is_not_finite_is_skipped_or_raises() -> None:
    p, opt = one(nonfinite="skip")
    opt.step()
    before, step = p.detach().clone(), float(opt.state[p]["step"])
    p.grad = torch.tensor([1.0, float("nan"), 1.0])
    opt.step()
    assert torch.equal(p, before)
    assert (opt.skipped, float(opt.state[p]["step"])) == (1, step)
    q, raises = one(nonfinite="raise")
    q.grad = torch.tensor([1.0, float("inf"), 1.0])
    with pytest.raises(Exception, match=r"\[0\].*NaN or infinity"):
        raises.step()
    assert q.tolist() == [1, 1, 1]


@ours_alone
@pytest.mark.parametrize("name", EVERY)
def test_steps_in_the_backward_pass(name: str) -> None:
    from fastopt.torch import step_in_backward

    net, loss_of = model()
    twin, twin_loss = model()
    opt, plain = mine(name)(net.parameters()), mine(name)(twin.parameters())
    if opt._formula.rule.norms == "all":
        with pytest.raises(ValueError, match="sums over all parameters: needs all gradients"):
            step_in_backward(opt)
        return
    stepping = step_in_backward(opt)
    for _ in range(5):
        loss_of().backward()
        assert all(p.grad is None for p in net.parameters())
        opt.step()
        plain.zero_grad()
        twin_loss().backward()
        plain.step()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    stepping.remove()
    loss_of().backward()
    assert all(p.grad is not None for p in net.parameters())
    opt.step()


def _reversed(opt: Any) -> None:
    opt.param_groups.reverse()


def _inserted(opt: Any) -> None:
    opt.param_groups.insert(0, {**opt.param_groups[0], "params": [torch.nn.Parameter(torch.ones(2))]})


def _moved(opt: Any) -> None:
    opt.param_groups[2]["params"].insert(0, opt.param_groups[1]["params"].pop())


def _taken_out(opt: Any) -> None:
    del opt.param_groups[1]


def _in_a_set(opt: Any) -> None:
    opt.param_groups[0]["params"] = set(opt.param_groups[0]["params"])


def _slower(opt: Any) -> None:
    opt.param_groups[2]["lr"] *= 0.5


def _begun_anew(opt: Any) -> None:
    opt.state = {}


def _reseeded(opt: Any) -> None:
    saved = copy.deepcopy(opt.state_dict())
    for group in saved["param_groups"]:
        group["seed"] = 11
    opt.load_state_dict(saved)


@ours_alone
@pytest.mark.parametrize(
    "edit",
    [None, _reversed, _inserted, _moved, _taken_out, _in_a_set, _slower, _begun_anew, _reseeded],
)
@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("name", ["AdamW", "Muon"])
def test_steps_in_the_backward_pass_of_several_groups(name: str, names: bool, edit: Any) -> None:
    """Parameters of equal values in groups that are edited in mid-training: as without it."""
    from fastopt.torch import step_in_backward

    ends = []
    for within in (False, True):
        params = [torch.nn.Parameter(torch.ones(shape)) for shape in ((2, 3), (2, 3), (1,))]
        opt = mine(name)(
            [{"params": [(f"p{i}", p) if names else p], "lr": 0.1 / (i + 1)} for i, p in enumerate(params)],
            state_dtype=torch.bfloat16,
        )
        if within:
            step_in_backward(opt)
        for k in range(6):
            if k == 3 and edit is not None:
                edit(opt)
            opt.zero_grad()
            sum(((p - 0.1 * k) ** 2).sum() * (i + 1) for i, p in enumerate(params)).backward()
            opt.step()
        ends.append(params)
    assert equal(*ends)


@ours_alone
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_states_of_half_precision_parameters(dtype: Any) -> None:
    p = torch.nn.Parameter(torch.ones(4, dtype=dtype))
    for wanted, held in ((None, torch.float32), (torch.bfloat16, torch.bfloat16)):
        opt = mine("AdamW")([p], state_dtype=wanted)
        p.grad = torch.ones(4, dtype=dtype)
        opt.step()
        assert opt.state[p]["exp_avg"].dtype == held
        again = mine("AdamW")([p], state_dtype=wanted)
        again.load_state_dict(opt.state_dict())
        again.step()
        assert again.state[p]["exp_avg"].dtype == held


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("flag", [{"foreach": True}, {"foreach": False}, {"fused": False}], ids=str)
def test_ways_of_pytorch_are_accepted(name: str, flag: dict[str, bool]) -> None:
    p = torch.nn.Parameter(torch.ones(3))
    try:
        theirs(name)([p], **flag)
    except TypeError:
        pytest.skip("PyTorch's class has no such keyword")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt = mine(name)([p], **flag)
    p.grad = torch.ones(3)
    opt.step()
    assert bool((p.detach() < 1).all())


def test_hooks_meet_the_closure_where_it_was_given() -> None:
    """A hook may put another in its place."""
    p = torch.nn.Parameter(torch.ones(2))
    for make in (mine("SGD"), theirs("SGD")):
        opt, calls = make([p], lr=0.1), []

        def look(_: Any, args: Any, kwargs: Any, calls: Any = calls) -> Any:
            calls.append((len(args), list(kwargs)))
            if "closure" in kwargs:
                return args, {"closure": lambda: "another"}
            return None

        opt.register_step_pre_hook(look)
        assert opt.step() is None
        assert opt.step(lambda: 1) == 1
        assert opt.step(closure=lambda: 1) == "another"
        assert calls == [(1, []), (2, []), (1, ["closure"])]
        with pytest.raises(TypeError, match=r"step\(\) got an unexpected keyword argument 'closur'"):
            opt.step(closur=None)
    assert list(inspect.signature(mine("SGD").step).parameters) == ["self", "closure"]


@ours_alone
def test_stepping_in_backward_warns_of_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastopt.torch import step_in_backward

    opt = mine("SGD")([torch.nn.Parameter(torch.ones(2))], lr=0.1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.warns(RuntimeWarning, match="each process steps by its own gradients"):
        step_in_backward(opt).remove()


@ours_alone
@pytest.mark.parametrize("unscaled", [False, True])
@pytest.mark.parametrize("fused", [None, True])
def test_a_scaler_is_refused_by_what_steps_in_backward(fused: bool | None, unscaled: bool) -> None:
    from fastopt.torch import step_in_backward

    net, loss_of = model()
    opt = mine("SGD")(net.parameters(), lr=1e-9, fused=fused)
    first, second = step_in_backward(opt), step_in_backward(opt)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of()).backward()
    if unscaled:
        scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match=r"step\(\): not by GradScaler.*step_in_backward"):
        scaler.step(opt)
    opt.step()  # of which nothing is left
    second.remove()
    with pytest.raises(RuntimeError, match="not by GradScaler"):
        scaler.step(opt)
    for _ in range(2):
        first.remove()
    before = [p.detach().clone() for p in net.parameters()]
    opt.param_groups[0]["lr"] = 0.1
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of()).backward()
    scaler.step(opt)
    assert (
        0
        < max(float((p - q).detach().abs().max()) for p, q in zip(net.parameters(), before, strict=True))
        < 1
    )
    assert opt._step_supports_amp_scaling == bool(fused)
    torch.amp.GradScaler("cpu", enabled=False).step(opt)


@ours_alone
@pytest.mark.parametrize("kind", ["pre", "post"])
def test_hooks_are_refused_with_steps_in_backward(kind: str) -> None:
    from fastopt.torch import step_in_backward

    _, opt = one()
    handle = getattr(opt, f"register_step_{kind}_hook")(lambda *_: None)
    with pytest.raises(ValueError, match="this AdamW has hooks on its step"):
        step_in_backward(opt)
    handle.remove()
    stepping = step_in_backward(opt)
    with pytest.raises(RuntimeError, match=rf"register_step_{kind}_hook\(\): .*step_in_backward"):
        getattr(opt, f"register_step_{kind}_hook")(lambda *_: None)
    getattr(copy.deepcopy(opt), f"register_step_{kind}_hook")(lambda *_: None)  # which steps as ever
    stepping.remove()
    getattr(opt, f"register_step_{kind}_hook")(lambda *_: None)


@ours_alone
def test_a_closure_whose_backward_pass_steps() -> None:
    from fastopt.torch import step_in_backward

    ends = []
    for within in (False, True):
        net, loss_of = model()
        opt = mine("AdamW")(net.parameters())
        if within:
            step_in_backward(opt)

        def closure(opt: Any = opt, loss_of: Any = loss_of) -> Any:
            opt.zero_grad()
            loss = loss_of()
            loss.backward()
            return loss.detach()

        losses = [opt.step(closure) for _ in range(3)]
        ends.append([*net.parameters(), *losses])
    assert equal(*ends)


# --- what errors say ---


@pytest.mark.parametrize("name", EVERY)
def test_errors_call_the_class_by_its_name(name: str) -> None:
    p, opt = one(name)
    stepper = "Adam" if name == "AdamW" and not hasattr(opt, "_formula") else name  # as PyTorch's derives
    with pytest.raises(
        TypeError, match=rf"^{name}\.__init__\(\) missing 1 required positional argument: 'params'"
    ):
        mine(name)()
    for hooked in (False, True):
        if hooked:
            opt.register_step_pre_hook(lambda *_: None)
        with pytest.raises(
            TypeError, match=rf"^{stepper}\.step\(\) got an unexpected keyword argument 'foo'"
        ):
            opt.step(foo=1)
        with pytest.raises(TypeError, match=rf"^{stepper}\.step\(\) takes from 1 to 2 positional arguments"):
            opt.step(1, 2)
    opt.register_step_pre_hook(lambda *_: 5)
    with pytest.raises(RuntimeError, match=rf"^<function {stepper}\.step at .*must return None or a tuple"):
        opt.step()
    assert p.tolist() == [1, 1, 1]


@ours_alone
@pytest.mark.parametrize("begun", [False, True])
def test_a_step_within_a_transform_names_the_parameter(begun: bool) -> None:
    p, opt = one("SGD", lr=0.1)
    if begun:
        opt.step()
    before = p.detach().clone()

    def function(x: Any) -> Any:
        p.grad = x.detach()
        opt.step()
        return x.sum()

    def of_its_own(x: Any) -> Any:
        mine("SGD")([p, torch.nn.Parameter(x * 1)], lr=0.1)
        return x.sum()

    with pytest.raises(TypeError, match=r"^params\[0\]: .*within a transform of torch\.func"):
        torch.func.grad(function)(torch.ones(3))
    for transform in (torch.func.grad, torch.func.vmap):
        with pytest.raises(TypeError, match=r"^params\[1\]: .*within a transform of torch\.func"):
            transform(of_its_own)(torch.ones(3, 3) if transform is torch.func.vmap else torch.ones(3))
    assert torch.equal(p, before)
