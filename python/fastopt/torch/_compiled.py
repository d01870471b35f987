"""What `torch.compile` sees of an optimizer: calls that it does not look into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TypeVar, cast

import torch

__all__ = ["uncompiled", "undo_capturable"]

F = TypeVar("F", bound=Callable[..., Any])


def uncompiled(function: F) -> F:
    """A function of which, and of all that it calls, nothing is traced: graphs break there.

    `torch._disable_dynamo`, which PyTorch's own optimizers have on such methods, takes 0.3 us of every call.
    So PyTorch's evaluator of frames is told directly where it can be: that came after 2.6.
    """
    try:
        frames: Any = torch._C._dynamo.eval_frame
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(function.__code__, frames._FrameExecStrategy(skip, skip))
    except (AttributeError, TypeError):
        function = cast(F, torch._disable_dynamo(function))
    function._torchdynamo_disable = True  # type: ignore[attr-defined]  # where a call of it is traced
    return function


def undo_capturable(group: MutableMapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """A compiled function that edits a group, such as its rate, leaves it with ``capturable=True``: PyTorch's
    compiler marks the parameters, and sets what its own classes need to be compiled.
    """
    if group.get("capturable") is not True or defaults.get("capturable"):
        return
    if any(hasattr(p, "_dynamo_static_input_type") for p in group["params"]):
        if "capturable" in defaults:
            group["capturable"] = False
        else:
            del group["capturable"]
