"""What the Schedule-Free optimizers share: the exchange between training and evaluation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from fastopt._checks import real
from fastopt._hypers import Hyper, pair
from fastopt.optimizer import Optimizer

__all__ = ["ScheduleFree", "betas"]


def betas() -> Hyper:
    """(beta1, beta2), of which the first divides when the average is formed, so it is no 0."""

    def checked(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            real(f"{name}[{i}]", value, minimum=0.0, maximum=1.0, open_low=i == 0, open_high=True)
            for i, value in enumerate(values)
        )

    return pair("beta1", "beta2", check=checked)


class ScheduleFree(Optimizer):
    """Base class of the Schedule-Free optimizers: their parameters are at y while training, and the weights
    to use are the average x.
    """

    def train(self) -> None:
        """Move the parameters, in place, to where gradients are taken; nothing happens if they are there.

        Raises
        ------
        RuntimeError
            If a call on this optimizer has not returned yet, or inside `averaged_weights` or `ema_weights`.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> w = np.array([1.0, -2.0])
        >>> opt = fastopt.ScheduleFreeSGD([w], lr=0.25)
        >>> for _ in range(2):
        ...     opt.step([2 * w])
        >>> opt.eval()
        >>> w
        array([ 0.375, -0.75 ])
        >>> opt.train()
        >>> w
        array([ 0.3625, -0.725 ])
        """
        self._plan.exchange(True)

    def eval(self) -> None:
        """Move the parameters, in place, to the average of all steps; nothing happens if they are there.

        Until `train` is called, `step` raises RuntimeError. There and back is exact but for rounding;
        `averaged_weights` is exact.

        Raises
        ------
        RuntimeError
            If a call on this optimizer has not returned yet, or inside `averaged_weights` or `ema_weights`.
        """
        self._plan.exchange(False)

    @property
    def train_mode(self) -> bool:
        """Whether the parameters are where gradients are taken: True from the start and after `train`, False
        after `eval`. It is part of `state_dict`, which is to be loaded together with the parameters that it
        was saved with.
        """
        return bool(self._plan.train_mode)

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Swap the average of all steps in, for ``with opt.averaged_weights(): evaluate()``, and the
        parameters back, bit for bit, also after an exception.

        It takes memory for a copy of the parameters. Inside, `state_dict` and `save` work as ever; what would
        change the parameters raises RuntimeError, in every thread. After `eval` the parameters are the
        average already, and stay so.

        Raises
        ------
        RuntimeError
            If nested, or if a call on this optimizer has not returned yet.
        """
        context: AbstractContextManager[None] = self._plan.averaged_weights()
        return context

    def _modes(self) -> dict[str, Any]:
        return {"train_mode": self.train_mode}
