"""The step inside the backward pass: a gradient lives only until its parameter has been updated."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from fastopt.torch._containers import state_of
from fastopt.torch._optimizer import Optimizer

__all__ = ["InBackward", "step_in_backward"]


class InBackward:
    """What `step_in_backward` returns: `remove` ends it."""

    def __init__(self, handles: list[Any]) -> None:
        self._handles = handles

    def remove(self) -> None:
        """Leave gradients alone again; ``optimizer.step()`` then updates the parameters as before."""
        while self._handles:
            self._handles.pop().remove()


def step_in_backward(optimizer: Optimizer) -> InBackward:
    """Update each parameter within ``backward()``, as soon as its gradient is complete, and free that.

    The memory of the gradients falls from that of all parameters to that of the largest few, and the update
    reads a gradient that is still in the cache. ``optimizer.step()`` then finds nothing to do, and may stay
    where it is: learning-rate schedulers expect it.

    Parameters
    ----------
    optimizer : fastopt.torch.Optimizer
        Of which groups, states and learning rates are read at every update. Groups that are added later are
        not stepped in the backward pass: call this again for them.

    Returns
    -------
    InBackward
        With a method `remove`.

    Raises
    ------
    TypeError
        If it is no optimizer of `fastopt.torch`.
    ValueError
        If it was made with `clip_norm` or a policy for non-finite gradients, or sums over all parameters
        (Prodigy): these need all gradients before the first update.

    Notes
    -----
    What needs the gradients after the backward pass is excluded with it: their accumulation over several
    backward passes, `torch.nn.utils.clip_grad_norm_`, `GradScaler`, closures, reading ``p.grad``. Hooks on
    ``step`` are not called. If the backward pass raises half-way, some parameters have been updated.

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
    handles = [
        p.register_post_accumulate_grad_hook(_Single(optimizer, group, p))
        for group in optimizer.param_groups
        for p in group["params"]
        if p.requires_grad
    ]
    return InBackward(handles)


class _Single:
    """Steps one parameter, as an optimizer of its own would that shares state and group."""

    def __init__(self, optimizer: Optimizer, group: dict[str, Any], parameter: Tensor) -> None:
        self.whole = optimizer
        self.index = optimizer.param_groups.index(group)
        self.own: Any = object.__new__(type(optimizer))
        self.own.__dict__.update(
            {k: v for k, v in vars(optimizer).items() if k not in ("param_groups", "state", "_engine")}
        )
        before = sum(len(g["params"]) for g in optimizer.param_groups[: self.index])
        self.own._first = before + next(i for i, p in enumerate(group["params"]) if p is parameter)
        self.group: dict[str, Any] = {"params": [parameter]}
        self.own.param_groups, self.own.state = [self.group], defaultdict(dict)
        self.own._engine, self.own._fresh = None, []

    def __call__(self, parameter: Tensor) -> None:
        if self.whole._elsewhere:
            raise RuntimeError("backward(): not inside ema_weights(), the parameters hold averages")
        group = self.whole.param_groups[self.index]
        names = group.get("param_names")
        self.group.update({k: v for k, v in group.items() if k not in ("params", "param_names")})
        if names and "param_names" not in self.group:
            place = next(i for i, p in enumerate(group["params"]) if p is parameter)
            self.group["param_names"] = [names[place]]
        state = state_of(self.whole, parameter, f"params[{self.own._first}]")
        if self.own.state.get(parameter) is not state:
            self.own.state[parameter] = state
        with torch.no_grad():
            self.own._step()
        parameter.grad = None
