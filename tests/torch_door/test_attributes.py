"""Attributes of an optimizer: a setting is assigned where it has an effect, and the rest is the host's."""

from __future__ import annotations

from typing import Any

import pytest

from torch_door.door import EVERY, mine, ours_alone, torch

from fastopt.torch._options import NAMES  # isort: skip  (torch first: without it the module skips)

pytestmark = ours_alone


def one(name: str = "AdamW") -> Any:
    p = torch.nn.Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    return mine(name)([p])


@pytest.mark.parametrize("name", EVERY)
def test_attributes_that_would_do_nothing(name: str) -> None:
    opt = one(name)
    modes = {"train_mode"}
    for key in {*opt._keys, *opt.param_groups[0]} - {"params"} - modes - set(NAMES):
        with pytest.raises(AttributeError, match=rf'^{key}: set it in param_groups: .*\["{key}"\]'):
            setattr(opt, key, 0.5)
    for key in NAMES:
        with pytest.raises(AttributeError, match=f"^{key}: fixed when the optimizer is made"):
            setattr(opt, key, None)
    for key in ("ema", "grad_norm", "skipped", *(modes & set(opt.param_groups[0]))):
        with pytest.raises(AttributeError, match=key):
            setattr(opt, key, None)
    assert not {*opt._keys, *NAMES} & set(vars(opt))


def test_what_hosts_keep_in_an_optimizer() -> None:
    """Schedulers wrap `step` and count calls, GradScaler tells of its scale, and trainers do as they like."""
    opt = one()
    for name in ("grad_scale", "found_inf", "_opt_called", "_hook_for_profile", "_amp_stash", "note"):
        setattr(opt, name, None)
        assert getattr(opt, name) is None
    del opt.grad_scale, opt.found_inf
    opt.step = opt.step
    opt.state, opt.defaults, opt.param_groups = opt.state, opt.defaults, opt.param_groups
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1)
    opt.step()
    scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(1e-4)


def test_a_class_of_the_users_may_have_a_property_of_that_name() -> None:
    class Short(mine("SGD")):  # type: ignore[misc]
        @property
        def lr(self) -> Any:
            return self.param_groups[0]["lr"]

        @lr.setter
        def lr(self, value: float) -> None:
            self.param_groups[0]["lr"] = value

    opt = Short([torch.nn.Parameter(torch.ones(2))], lr=0.5)
    opt.lr = 0.25
    assert opt.param_groups[0]["lr"] == 0.25
