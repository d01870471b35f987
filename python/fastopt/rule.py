"""What is true of an update rule: one record in each optimizer class, read by all who compare them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Rule"]


@dataclass(frozen=True)
class Rule:
    """The facts about an optimizer that its signature does not tell; `Optimizer.rule` of every class.

    Attributes
    ----------
    kernel : str
        The formula in the engine: ``"adam"`` of both `Adam` and `AdamW`.
    comparison_lr : float
        A learning rate to compare with: nearly the best for a small network with standardised inputs and mean
        gradients, at the class's defaults. The default of `lr` is the paper's or PyTorch's instead.
    weight_decay : {"coupled", "decoupled", "own"}
        What `weight_decay` does by default: it adds ``weight_decay * theta`` to the gradient (an L2 penalty),
        takes ``lr * weight_decay * theta`` from theta before the update, or is part of the formula.
    momentum : {"none", "sum", "average", "interpolation"}
        What the keyword `momentum` keeps of past gradients by default. A sum makes steps ``1 / (1 -
        momentum)`` times as long under a steady gradient, an average does not; an interpolation keeps none,
        but says where between the steps and their average gradients are taken (`ScheduleFreeSGD`).
    norms : {"none", "gradient", "update", "all"}
        Which norm over a whole tensor, beside that of theta, the update needs before its first element;
        ``"all"``: sums over all tensors.
    squares : bool
        Whether it squares gradients, so that the policies for non-finite ones look at squares.
    fills_first : bool
        Whether a parameter's first step only fills its states: it moves from the second on.
    full_batch : bool
        Whether it compares the signs of successive gradients, which differ by chance between mini-batches.
    matrix : bool
        Whether it looks at parameters of two axes and more as matrices, whose elements do not step apart.
        Their bits then differ between CPU levels, and tests allow float32 sixteen times as much rounding.
    draws : bool
        Whether the formula itself draws random numbers, of the optimizer's `seed`.
    torch : bool
        Whether `torch.optim` has the class, with these keywords, defaults and numbers.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.AdamW.rule.weight_decay
    'decoupled'
    >>> [name for name, cls in fastopt.optimizers().items() if cls.rule.norms != "none"]
    ['adafactor', 'kron', 'lamb', 'lars', 'mars', 'prodigy', 'soap', 'shampoo', 'stableadamw']
    """

    kernel: str
    comparison_lr: float
    weight_decay: Literal["coupled", "decoupled", "own"] = "coupled"
    momentum: Literal["none", "sum", "average", "interpolation"] = "none"
    norms: Literal["none", "gradient", "update", "all"] = "none"
    squares: bool = False
    fills_first: bool = False
    full_batch: bool = False
    matrix: bool = False
    draws: bool = False
    torch: bool = False

    def decay(self, group: Mapping[str, Any]) -> Literal["coupled", "decoupled", "own"]:
        """What `weight_decay` does in a group (one of `Optimizer.param_groups`, or keywords): as by default,
        or as its `decoupled_weight_decay` or `decouple` says.
        """
        decoupled = group.get("decoupled_weight_decay")
        if decoupled is None:
            return "coupled" if group.get("decouple") is False else self.weight_decay
        return "decoupled" if decoupled else "coupled"
