"""Around torch.compile: a graph breaks at a call of the optimizer, of which nothing is traced."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from torch_door.door import EVERY, JUDGED, MOVING, mine, model, ours_alone, torch

#: PyTorch's own are compiled, and warn meanwhile.
pytestmark = [pytest.mark.filterwarnings("ignore")] if JUDGED == "torch.optim" else []

#: Of a training function this much is traced at most, however many parameters there are: itself, its parts
#: between the breaks, and the forward.
FRAMES = 8


@pytest.fixture(autouse=True)
def from_the_start() -> Iterator[None]:
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def frames() -> int:
    from torch._dynamo.utils import counters

    return int(counters["frames"]["total"])


def traced() -> list[str]:
    """The functions of ours that have been traced."""
    import fastopt

    home = str(Path(fastopt.__file__).parent)
    seen = torch._dynamo.convert_frame.input_codes.seen
    codes = [code for ref in seen if (code := ref()) is not None]
    return sorted(code.co_name for code in codes if code.co_filename.startswith(home))


def deep(n: int = 6) -> tuple[Any, Any]:
    """Of many tensors: what is traced of each is soon too much to be traced again."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(n)])
    return net, lambda: net(torch.ones(2, 4)).square().sum()


def same(net: Any, twin: Any) -> None:
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_compiled_models_and_compiled_steps() -> None:
    net, loss_of = model()
    twin, twin_loss = model()
    compiled = torch.compile(loss_of, backend="eager")
    opt, plain = mine("AdamW")(net.parameters(), lr=0.05), mine("AdamW")(twin.parameters(), lr=0.05)
    step = torch.compile(opt.step, backend="eager")
    for _ in range(5):
        opt.zero_grad()
        plain.zero_grad()
        compiled().backward()
        twin_loss().backward()
        step()
        plain.step()
    same(net, twin)
    assert traced() == []


@ours_alone
@pytest.mark.parametrize("name", EVERY)
def test_a_compiled_step_is_not_traced(name: str, caplog: pytest.LogCaptureFixture) -> None:
    net, loss_of = deep()
    twin, twin_loss = deep()
    opt, plain = (mine(name)(n.parameters(), **MOVING.get(name, {})) for n in (net, twin))
    step = torch.compile(opt.step, backend="eager")
    with caplog.at_level(logging.WARNING, "torch"):
        for _ in range(3):
            opt.zero_grad()
            loss_of().backward()
            step()
            plain.zero_grad()
            twin_loss().backward()
            plain.step()
    same(net, twin)
    assert (frames() <= 1, traced()) == (True, [])
    assert not caplog.records


@ours_alone
def test_a_compiled_step_with_a_closure_and_hooks() -> None:
    net, loss_of = deep()
    opt = mine("AdamW")(net.parameters())
    seen: list[str] = []
    opt.register_step_pre_hook(lambda *_: seen.append("pre"))
    opt.register_step_post_hook(lambda *_: seen.append("post"))

    def closure() -> Any:
        opt.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    step = torch.compile(opt.step, backend="eager")
    losses = [step(closure).item() for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    assert seen == ["pre", "post"] * 3
    assert (frames() <= 1, traced()) == (True, [])


@pytest.mark.parametrize("beside", ["", "hooks", "scheduler", "ema_weights", "clip_norm"])
def test_a_compiled_training_step(beside: str, caplog: pytest.LogCaptureFixture) -> None:
    if beside in ("ema_weights", "clip_norm") and JUDGED == "torch.optim":
        pytest.skip("of fastopt.torch, and PyTorch's are judged")
    keywords = {"ema_weights": {"ema_decay": 0.9}, "clip_norm": {"clip_norm": 1.0}}.get(beside, {})

    def trained(wrap: Any) -> Any:
        net, loss_of = deep()
        opt = mine("SGD")(net.parameters(), lr=0.05, **keywords)
        scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5) if beside == "scheduler" else None
        if beside == "hooks":
            opt.register_step_pre_hook(lambda *_: None)
            opt.register_step_post_hook(lambda *_: None)

        def train() -> Any:
            opt.zero_grad()
            loss = loss_of()
            loss.backward()
            opt.step()
            if scheduler is not None:
                scheduler.step()
            if beside == "ema_weights":
                with opt.ema_weights():
                    loss = loss + loss_of()
            return loss

        train = wrap(train)
        return net, [train().item() for _ in range(4)]

    twin, want = trained(lambda function: function)
    with caplog.at_level(logging.WARNING, "torch"):
        net, got = trained(torch.compile(backend="eager"))
    assert got == pytest.approx(want, rel=1e-5)
    same(net, twin)
    assert traced() == []
    if JUDGED != "torch.optim":
        assert frames() <= FRAMES
        assert not caplog.records


def test_a_rate_that_is_set_in_a_compiled_function() -> None:
    """The compiler says ``capturable`` of a group that is edited there; one by hand is refused."""
    net, loss_of = deep()
    twin, twin_loss = deep()
    opt, plain = (mine("AdamW")(n.parameters()) for n in (net, twin))

    @torch.compile(backend="eager")
    def train(lr: float) -> None:
        opt.zero_grad()
        loss_of().backward()
        for group in opt.param_groups:
            group["lr"] = lr
        opt.step()

    for k in range(4):
        train(0.1 / (k + 1))
        plain.zero_grad()
        twin_loss().backward()
        plain.param_groups[0]["lr"] = 0.1 / (k + 1)
        plain.step()
    same(net, twin)
    assert traced() == []
    if JUDGED != "torch.optim":
        assert opt.param_groups[0]["capturable"] is False
        plain.param_groups[0]["capturable"] = True
        with pytest.raises(ValueError, match="capturable"):
            plain.step()


@pytest.mark.parametrize("fused", [None, True])
def test_a_compiled_step_of_a_scaler(fused: bool | None) -> None:
    net, loss_of = deep()
    opt = mine("AdamW")(net.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    before = loss_of().item()

    def step() -> None:
        scaler.step(opt)

    step = torch.compile(step, backend="eager")
    for _ in range(4):
        opt.zero_grad()
        scaler.scale(loss_of()).backward()
        step()
        scaler.update()
    assert loss_of().item() < before
    assert traced() == []


@ours_alone
def test_what_is_compiled_within_a_step_and_after_an_error() -> None:
    """A closure may call a compiled model; and a step that raises leaves the compiler as it was."""
    net, loss_of = deep()
    compiled = torch.compile(loss_of, backend="eager")
    opt = mine("AdamW")(net.parameters(), nonfinite="raise")

    def closure() -> Any:
        opt.zero_grad()
        loss = compiled()
        loss.backward()
        return loss.detach()

    step = torch.compile(lambda: opt.step(closure), backend="eager")
    losses = [step() for _ in range(3)]
    assert losses[2] < losses[1] < losses[0]
    assert any(ref().co_name == "<lambda>" for ref in torch._dynamo.convert_frame.input_codes.seen)
    net[0].weight.grad.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN"):
        torch.compile(lambda: opt.step(), backend="eager")()
    before = frames()
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))
    assert frames() == before + 1
    assert traced() == []


@ours_alone
def test_every_other_call_of_an_optimizer() -> None:
    from fastopt.torch import step_in_backward

    net, loss_of = deep()
    params = list(net.parameters())

    @torch.compile(backend="eager")
    def uses(x: Any) -> Any:
        opt = mine("AdamW")(params, ema_decay=0.5, clip_norm=1.0)
        loss_of().backward()
        opt.step()
        opt.load_state_dict(opt.state_dict())
        opt.param_groups[0]["lr"] = 0.1
        opt.add_param_group({"params": [extra]})
        opt.mark = 1
        copy.deepcopy(opt)
        return x + len(opt.ema) + opt.skipped, opt.grad_norm

    @torch.compile(backend="eager")
    def evaluates() -> Any:
        free.train()
        loss_of().backward()
        free.step()
        free.eval()
        loss = loss_of() + free.train_mode
        free.train()
        with free.averaged_weights():
            return loss + loss_of()

    @torch.compile(backend="eager")
    def in_backward() -> None:
        loss_of().backward()
        within.step()

    extra = torch.nn.Parameter(torch.ones(1))
    for _ in range(2):
        uses(torch.ones(1))
    free = mine("ScheduleFreeSGD")(params)
    for _ in range(2):
        evaluates()
    within = mine("AdamW")(params)
    stepping = step_in_backward(within)
    for _ in range(2):
        in_backward()
    stepping.remove()
    assert traced() == []


@ours_alone
def test_without_the_private_switch_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that have none: as PyTorch's own methods are wrapped."""
    from fastopt.torch import _compiled

    monkeypatch.delattr(torch._C._dynamo.eval_frame, "_FrameAction", raising=False)
    inside: list[int] = []

    def below(k: int) -> None:
        inside.append(k)

    @_compiled.uncompiled
    def function(k: int, *, more: int) -> int:
        """Adds."""
        below(k)
        return k + more

    compiled = torch.compile(lambda x: x + function(1, more=2), backend="eager")
    direct = torch.compile(function, backend="eager")
    assert (float(compiled(torch.ones(1))), direct(3, more=4), inside) == (4.0, 7, [1, 3])
    assert function.__doc__ == "Adds."
    seen = [ref() for ref in torch._dynamo.convert_frame.input_codes.seen]
    assert not {"function", "below"} & {code.co_name for code in seen if code is not None}


@ours_alone
def test_importing_the_door_does_not_import_the_compiler() -> None:
    program = "import sys, fastopt.torch as f; f.AdamW; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
