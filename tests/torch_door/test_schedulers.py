"""Every scheduler of torch.optim.lr_scheduler moves the rates of ours as it moves PyTorch's."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest

from torch_door.door import allowed, clones, drive, given, mine, theirs, torch, worst

schedulers = torch.optim.lr_scheduler

MAKE: dict[str, Any] = {
    "ChainedScheduler": lambda o: schedulers.ChainedScheduler(
        [schedulers.ConstantLR(o, 0.5, 4), schedulers.ExponentialLR(o, 0.9)], optimizer=o
    ),
    "ConstantLR": lambda o: schedulers.ConstantLR(o, 0.5, 6),
    "CosineAnnealingLR": lambda o: schedulers.CosineAnnealingLR(o, 12),
    "CosineAnnealingWarmRestarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5, 2),
    "CyclicLR": lambda o: schedulers.CyclicLR(o, 1e-3, 1e-2, 4, cycle_momentum=True),
    "ExponentialLR": lambda o: schedulers.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: schedulers.LambdaLR(o, lambda k: 1 / (1 + k)),
    "LinearLR": lambda o: schedulers.LinearLR(o, 0.2, 1.0, 8),
    "MultiStepLR": lambda o: schedulers.MultiStepLR(o, [3, 9], 0.3),
    "MultiplicativeLR": lambda o: schedulers.MultiplicativeLR(o, lambda k: 0.95),
    "OneCycleLR": lambda o: schedulers.OneCycleLR(o, 0.05, total_steps=31),
    "PolynomialLR": lambda o: schedulers.PolynomialLR(o, 20, 2.0),
    "ReduceLROnPlateau": lambda o: schedulers.ReduceLROnPlateau(o, patience=1, factor=0.5),
    "SequentialLR": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, 0.1, 1.0, 5), schedulers.CosineAnnealingLR(o, 20)], [5]
    ),
    "StepLR": lambda o: schedulers.StepLR(o, 4, 0.5),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, 0.002, anneal_epochs=5),
}
OPTIONS = {
    "SGD": {"lr": 0.01, "momentum": 0.9},
    "AdamW": {"lr": 0.01},
    "RMSprop": {"lr": 0.01, "momentum": 0.5},
}


def test_none_is_forgotten() -> None:
    known = {
        name
        for name, value in vars(schedulers).items()
        if inspect.isclass(value) and issubclass(value, schedulers.LRScheduler) and not name.startswith("_")
    }
    assert known - {"LRScheduler"} <= set(MAKE)


def trained(cls: Any, name: str, scheduler: str, params: Any, grads: Any) -> tuple[Any, list[Any]]:
    groups = [{"params": params[:6]}, {"params": params[6:], "weight_decay": 0.1}]
    opt = cls(groups, **OPTIONS[name])
    schedule, rates = MAKE[scheduler](opt), []
    for k, row in enumerate(grads):
        drive(opt, params, [row])
        if scheduler == "ReduceLROnPlateau":
            schedule.step(1.0 if k > 4 else 10.0 - k)
        else:
            schedule.step()
        rates.append([g["lr"] for g in opt.param_groups] + list(opt.param_groups[0].get("betas", ())))
    return params, rates


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("scheduler", MAKE)
def test_as_pytorchs(name: str, scheduler: str) -> None:
    params, grads = given(torch.float32)
    rates: list[Any] = []

    def run(cls: Any, own: Any, grads: Any) -> Any:
        got, found = trained(cls, name, scheduler, own, grads)
        rates.append(found)
        return got

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*scheduler.step.*epoch.*")
        exact, bound = allowed(run, params, grads, name)
        got = run(mine(name), clones(params), grads)
    assert worst(got, exact) <= bound
    assert rates[0] == rates[-1]


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_a_rate_in_a_tensor_is_read_at_every_step(name: str) -> None:
    params, grads = given(torch.float32)

    def run(cls: Any, own: Any, grads: Any) -> Any:
        lr = torch.tensor(0.01)
        opt = cls(own, lr=lr, foreach=False)
        schedule = schedulers.ExponentialLR(opt, 0.8)
        for row in grads:
            drive(opt, own, [row])
            schedule.step()
        assert opt.param_groups[0]["lr"] is lr
        lr.fill_(0.5)
        drive(opt, own, grads[:2])
        return own

    exact, bound = allowed(run, params, grads, name)
    assert worst(run(mine(name), clones(params), grads), exact) <= bound


def test_a_schedule_resumes() -> None:
    params, grads = given(torch.float32)

    def run(cls: Any, own: Any, grads: Any) -> Any:
        opt = cls(own, lr=0.05)
        schedule = schedulers.CosineAnnealingLR(opt, 20)
        for row in grads[:10]:
            drive(opt, own, [row])
            schedule.step()
        again = cls(own, lr=7.0)
        next_schedule = schedulers.CosineAnnealingLR(again, 20)
        again.load_state_dict(opt.state_dict())
        next_schedule.load_state_dict(schedule.state_dict())
        for row in grads[10:]:
            drive(again, own, [row])
            next_schedule.step()
        return own

    exact, bound = allowed(run, params, grads, "AdamW")
    assert worst(run(mine("AdamW"), clones(params), grads), exact) <= bound


def test_averaged_models() -> None:
    def run(cls: Any) -> list[Any]:
        torch.manual_seed(3)
        net = torch.nn.Linear(4, 3)
        opt = cls(net.parameters(), lr=0.05)
        average = torch.optim.swa_utils.AveragedModel(net)
        rate = torch.optim.swa_utils.SWALR(opt, swa_lr=0.02, anneal_epochs=3)
        x = torch.randn(8, 4)
        for _ in range(10):
            opt.zero_grad()
            net(x).pow(2).mean().backward()
            opt.step()
            average.update_parameters(net)
            rate.step()
        return [*average.parameters(), *net.parameters()]

    for got, want in zip(run(mine("AdamW")), run(theirs("AdamW")), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("tensor", [False, True])
def test_schedules_that_end_at_zero(name: str, tensor: bool) -> None:
    """By ratios of ratios they end a rounding above it or below, where PyTorch goes on."""
    p = torch.nn.Parameter(torch.ones(2))
    below = 0
    for start in (1 / 3, 0.1, 0.7):
        for rate in (0.1, 0.03, 1e-3):
            for steps in range(2, 12):
                lr = torch.tensor(rate, dtype=torch.float64) if tensor else rate
                opt = mine(name)([p], **{**OPTIONS[name], "lr": lr})
                schedule = schedulers.LinearLR(opt, start_factor=start, end_factor=0.0, total_iters=steps)
                for _ in range(steps + 2):
                    p.grad = torch.ones(2)
                    opt.step()
                    schedule.step()
                    below += float(opt.param_groups[0]["lr"]) < 0
    assert below > 0


def test_rates_that_are_below_zero_are_refused() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    opt = mine("SGD")([p], lr=0.1)
    schedule = schedulers.LambdaLR(opt, lambda k: 1 - k / 3)
    for _ in range(4):
        p.grad = torch.ones(2)
        opt.step()
        schedule.step()
    before = p.detach().clone()
    with pytest.raises(ValueError, match=r"\['lr'\]: expected a finite number >= 0, got -0.03"):
        opt.step()
    assert torch.equal(p.detach(), before)
