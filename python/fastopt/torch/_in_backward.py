"""The step inside the backward pass: a gradient lives only until its parameter has been updated."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from fastopt.torch._compiled import uncompiled
from fastopt.torch._containers import state_of
from fastopt.torch._one_operation import InUse
from fastopt.torch._optimizer import Optimizer
from fastopt.torch._tensors import is_lazy, label_of, name_of

__all__ = ["InBackward", "step_in_backward"]


class InBackward:
    """What `step_in_backward` returns: `remove` ends it."""

    def __init__(self, optimizer: Optimizer, handles: list[Any]) -> None:
        self._optimizer, self._handles = optimizer, handles
        self._in_force = True
        optimizer._in_backward += 1
        optimizer._step_supports_amp_scaling = True  # GradScaler then comes to the step, which refuses it

    @uncompiled
    def remove(self) -> None:
        """Leave gradients alone again; ``optimizer.step()`` then updates the parameters as before."""
        while self._handles:
            self._handles.pop().remove()
        if self._in_force:
            self._in_force = False
            opt = self._optimizer
            opt._in_backward -= 1
            if opt._in_backward == 0:
                opt._step_supports_amp_scaling = bool(opt.defaults.get("fused"))


@uncompiled
def step_in_backward(optimizer: Optimizer) -> InBackward:
    """Update each parameter within ``backward()``, as soon as its gradient is complete, and free that.

    The memory of the gradients falls from that of all parameters to that of the largest few, and the update
    reads a gradient that is still in the cache. ``optimizer.step()`` then finds nothing to do, and may stay
    where it is: learning-rate schedulers expect it.

    Parameters
    ----------
    optimizer : fastopt.torch.Optimizer
        Of which groups, states and learning rates are read at every update; what is taken out of its groups
        is left alone. Groups that are added later are not stepped in the backward pass: call this again for
        them.

    Returns
    -------
    InBackward
        With a method `remove`.

    Raises
    ------
    TypeError
        If it is no optimizer of `fastopt.torch`.
    RuntimeWarning
        In a group of several processes, if parameters are no DTensors: gradients are averaged too late.
    ValueError
        If it was made with `clip_norm` or a policy for non-finite gradients, or sums over all parameters
        (Prodigy): these need all gradients before the first update. If it has hooks on its step, which are
        not called. If a parameter has no shape yet.

    Notes
    -----
    What needs the gradients after the backward pass is excluded with it: their accumulation over several
    backward passes, `torch.nn.utils.clip_grad_norm_`, reading ``p.grad``, and `torch.amp.GradScaler`: that a
    loss has been scaled cannot be seen in its backward pass, so the step that the scaler asks for afterwards
    raises RuntimeError, when the first update has been made with gradients many times too large. So is
    `DistributedDataParallel`, which averages gradients over the processes after they have been accumulated:
    each process would step by its own. Shards of `fully_shard` arrive averaged. Hooks that PyTorch calls for
    every optimizer are called by ``optimizer.step()`` alone, which may have a closure. If the backward pass
    raises half-way, some parameters have been updated.

    Examples
    --------
    >>> import torch
    >>> from fastopt.torch import SGD, step_in_backward
    >>> w = torch.nn.Parameter(torch.ones(2))
    >>> stepping = step_in_backward(SGD([w], lr=0.25))
    >>> (w**2).sum().backward()
    >>> w.data, w.grad
    (tensor([0.5000, 0.5000]), None)
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"optimizer: expected one of fastopt.torch, got {type(optimizer).__module__}."
            f"{type(optimizer).__name__}"
        )
    for name, idle in (("clip_norm", None), ("nonfinite", "propagate")):
        value = getattr(optimizer._options, name)
        if value != idle:
            raise ValueError(f"{name}={value!r}: needs all gradients before the first update")
    if optimizer._formula.rule.norms == "all":
        raise ValueError(
            f"optimizer: {type(optimizer).__name__} sums over all parameters: needs all gradients before "
            "the first update"
        )
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        raise ValueError(
            f"optimizer: this {type(optimizer).__name__} has hooks on its step, which are not called in the "
            "backward pass"
        )
    for number, (group, place, p) in enumerate(_places(optimizer)):
        if is_lazy(p):
            raise ValueError(
                f"{label_of(number, group, place)}: has no shape yet: run its lazy module once, and call "
                "step_in_backward after that"
            )
    _warn_of_replicas(optimizer)
    handles = [
        p.register_post_accumulate_grad_hook(_Single(optimizer, g, place, p))
        for g, group in enumerate(optimizer.param_groups)
        for place, p in enumerate(group["params"])
        if p.requires_grad
    ]
    return InBackward(optimizer, handles)


def _places(optimizer: Optimizer) -> Iterator[tuple[dict[str, Any], int, Tensor]]:
    """Every parameter, with its group and its place there."""
    for group in optimizer.param_groups:
        for place, p in enumerate(group["params"]):
            yield group, place, p


def _warn_of_replicas(optimizer: Optimizer) -> None:
    """Whether a module is wrapped by DistributedDataParallel cannot be seen at its parameters."""
    group = torch.distributed
    several = group.is_available() and group.is_initialized() and group.get_world_size() > 1
    if several and not all(hasattr(p, "device_mesh") for p in optimizer._all_params()):
        warnings.warn(
            "step_in_backward: each process steps by its own gradients; under DistributedDataParallel, which "
            "averages them afterwards, the replicas part",
            RuntimeWarning,
            stacklevel=3,
        )


class _Single:
    """Steps one parameter, as an optimizer of its own would that shares state and group."""

    def __init__(self, optimizer: Optimizer, group: int, place: int, parameter: Tensor) -> None:
        self.whole = optimizer
        self.own: Any = object.__new__(type(optimizer))
        self.own.__dict__.update(
            {k: v for k, v in vars(optimizer).items() if k not in ("param_groups", "state", "_engine")}
        )
        self.group: dict[str, Any] = {"params": [parameter]}
        self.own.param_groups, self.own.state = [self.group], defaultdict(dict)
        self.own._fresh, self.own._in_use = [], InUse()
        self.own._away = self.own._put_by = None
        self._move(group, place)

    def _move(self, group: int, place: int) -> None:
        groups = self.whole.param_groups
        self.index, self.place = group, place
        self.own._first = sum(len(g["params"]) for g in groups[:group]) + place
        self.own._first_group = group
        self.own._engine = None

    def _find(self, parameter: Tensor) -> dict[str, Any] | None:
        """The group that holds the parameter by now; None if it has been taken out of all."""
        groups = self.whole.param_groups
        try:
            if groups[self.index]["params"][self.place] is parameter:
                return groups[self.index]
        except (IndexError, TypeError):  # a set has no places
            pass
        for g, group in enumerate(groups):
            for place, p in enumerate(group["params"]):
                if p is parameter:
                    self._move(g, place)
                    return group
        return None

    def _take_values(self, group: dict[str, Any]) -> None:
        self.group.update({k: v for k, v in group.items() if k not in ("params", "param_names")})
        if "param_names" in group:
            name = name_of(group, self.place)
            if name != name_of(self.group, 0):
                self.group["param_names"] = [name]
        if self.own._options is not self.whole._options:  # a state dict has brought its seed
            self.own._options, self.own._extra = self.whole._options, self.whole._extra
            self.own._engine = None

    @uncompiled
    def __call__(self, parameter: Tensor) -> None:
        with self.whole._in_use.taken():
            self.whole._take_back()
            self.whole._refuse_away("backward()")
            self._update(parameter)

    def _update(self, parameter: Tensor) -> None:
        group = self._find(parameter)
        if group is None:
            return
        self._take_values(group)
        state = state_of(self.whole, parameter, f"params[{self.own._first}]")
        if self.own.state.get(parameter) is not state:
            self.own.state[parameter] = state
        with torch.no_grad():
            self.own._step()
        parameter.grad = None
