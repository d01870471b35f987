"""What `torch.compile` sees of an optimizer: calls that it does not look into."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TypeVar, cast

import torch

__all__ = ["uncompiled", "undo_capturable"]

F = TypeVar("F", bound=Callable[..., Any])


def uncompiled(function: F) -> F:
    """A function of which, and of all that it calls, nothing is traced: graphs break there.

    `torch.compiler.disable` says the same, but imports the compiler at once and takes 0.2 us of every call.
    So PyTorch's evaluator of frames is told directly where it can be: that is private, and came after 2.4.
    """
    try:
        frames: Any = torch._C._dynamo.eval_frame
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(function.__code__, frames._FrameExecStrategy(skip, skip))
    except (AttributeError, TypeError):
        function = disabled(function)
    function._torchdynamo_disable = True  # type: ignore[attr-defined]  # where a call of it is traced
    return function


def disabled(function: F) -> F:
    """The same by what is public, once the function is called."""
    made: list[Any] = []

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        if not made:
            made.append(torch.compiler.disable(function))
        return made[0](*args, **keywords)

    return cast(F, call)


def undo_capturable(group: MutableMapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """A compiled function that edits a group, such as its rate, leaves it with ``capturable=True``: PyTorch's
    compiler marks the parameters, and sets what its own classes need to be compiled.
    """
    if (
        group.get("capturable") is True
        and not defaults.get("capturable", True)
        and any(hasattr(p, "_dynamo_static_input_type") for p in group["params"])
    ):
        group["capturable"] = False
