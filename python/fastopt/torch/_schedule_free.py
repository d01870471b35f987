"""What the Schedule-Free optimizers for PyTorch share: the exchange between training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from fastopt.torch._compiled import uncompiled
from fastopt.torch._one_operation import Block, Leave, one_operation
from fastopt.torch._optimizer import Optimizer
from fastopt.torch._tensors import is_lazy

__all__ = ["ScheduleFree"]


class ScheduleFree(Optimizer):
    """Base class of the Schedule-Free optimizers: their parameters are at y while training, and the weights
    to use are the average x. The mode is ``"train_mode"`` in every group, so it is saved and loaded with the
    state.
    """

    @uncompiled
    def __init__(self, params: Any, *args: Any, **keywords: Any) -> None:
        super().__init__(params, *args, **keywords)
        self.defaults["train_mode"] = True
        for group in self.param_groups:
            group.setdefault("train_mode", True)

    def _add_group(self, param_group: dict[str, Any]) -> None:
        """Its mode is that of the others."""
        if self.param_groups:
            param_group = {**param_group, "train_mode": self.train_mode}
        super()._add_group(param_group)

    @property
    @uncompiled
    def train_mode(self) -> bool:
        """Whether the parameters are where gradients are taken: True from the start and after `train`."""
        return all(group.get("train_mode", True) for group in self.param_groups)

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        self._refuse_early()  # and once more when nobody can call eval() any more
        return super()._step(closure)

    def _refuse_step(self) -> None:
        super()._refuse_step()
        if not self.train_mode:
            raise RuntimeError(
                "step(): the parameters hold their averages since eval(); call train() before the next step"
            )

    @uncompiled
    def train(self) -> None:
        """Move the parameters, in place, to where gradients are taken; nothing happens if they are there."""
        self._exchange(True)

    @uncompiled
    def eval(self) -> None:
        """Move the parameters, in place, to the average of all steps; nothing happens if they are there.

        Until `train` is called, `step` raises RuntimeError.
        """
        self._exchange(False)

    def _exchange(self, train: bool) -> None:
        with one_operation(self, "train()" if train else "eval()"):
            self._move(train)

    def _move(self, train: bool) -> None:
        """The exchange within an operation."""
        if train == self.train_mode:
            return
        if self.state:
            engine = self._renewed()
            try:
                engine.exchange(train)
            finally:
                engine.hold()  # like the one before it, until the operation ends
                self._engine = engine
        self._set_mode(train)

    def _set_mode(self, train: bool) -> None:
        for group in self.param_groups:
            group["train_mode"] = train

    @uncompiled
    def averaged_weights(self) -> AbstractContextManager[None]:
        """In a ``with`` block the parameters hold the average of all steps, and then their own values again,
        exactly.

        Raises
        ------
        RuntimeError
            If nested, or if a call on this optimizer has not returned yet; inside, if `step`, `train` or
            `eval` is called.
        """
        return Block(self, "averaged_weights()", self._to_evaluation)

    def _to_evaluation(self) -> Leave:
        train = self.train_mode
        changing = [p for p in self._all_params() if p in self.state and not is_lazy(p)] if train else []
        changing += [self.state[p]["remainder"] for p in changing if "remainder" in self.state[p]]
        return changing, lambda: self._move(False), lambda: self._set_mode(train)

    def _collected(self) -> dict[str, Any]:
        """With what the authors' package `schedulefree` reads in its groups besides."""
        saved = super()._collected()
        for group in saved["param_groups"]:
            entries = [saved["state"][i] for i in group["params"] if i in saved["state"]]
            numbers = [(e["step"], e["weight_sum"], e["lr_max"]) for e in entries if "weight_sum" in e]
            k, weight_sum, lr_max = max((tuple(map(float, n)) for n in numbers), default=(0.0, 0.0, -1.0))
            group |= {"k": int(k), "weight_sum": weight_sum, "lr_max": lr_max, "scheduled_lr": group["lr"]}
        return saved
