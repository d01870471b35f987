"""Calls on an optimizer are one operation each: they see one step, or are refused and have touched nothing.

A plan refuses by itself who comes in the middle of its step, and that is all that an ordinary step asks. But
plans are made anew while an optimizer goes on, and much is done in Python, so there is a word above them:
whatever takes more than one native call holds it, and the present plan too if it must not step meanwhile. A
plan that is replaced stays held for ever (`Engine.retire`): a step that had it in hand looks again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastopt import _dispatch
from fastopt.torch._compiled import uncompiled

if TYPE_CHECKING:
    from fastopt.torch._optimizer import Optimizer

__all__ = ["Away", "Block", "InUse", "Leave", "copy_all", "one_operation"]

#: What leaving home takes: the tensors to remember, how they get their other values, and what is to be put
#: back besides.
Leave = tuple[list[Tensor], Callable[[], None], Callable[[], None]]


class InUse:
    """The word of one optimizer. It is a plan's, one without arrays: the errors are the same, and it tells
    threads, signal handlers and forked processes apart.
    """

    def __init__(self) -> None:
        self._word = _dispatch.core.Plan(0.0, 0.0, 2.0, "all", "propagate", -1.0, False)
        self._admitted: int | None = None

    def taken(self) -> Any:
        """A ``with`` block that has the word, or RuntimeError."""
        return self._word.exclusive()

    @contextmanager
    def admitting(self, others: object) -> Iterator[None]:
        """Let this thread begin operations within its own, if there is whoever may: hooks of the user are
        called with the optimizer whole, and ask for its `state_dict`, say.
        """
        before = self._admitted
        self._admitted = threading.get_ident() if others else before
        try:
            yield
        finally:
            self._admitted = before

    def admits(self) -> bool:
        return self._admitted == threading.get_ident()


@contextmanager
def one_operation(opt: Optimizer, at_home: str = "") -> Iterator[None]:
    """A block in which nobody else uses the optimizer.

    `at_home`: the name of what is refused while the parameters hold their averages.
    """
    if opt._in_use.admits():
        if at_home:
            opt._refuse_away(at_home)
        yield
        return
    with opt._in_use.taken():
        opt._take_back()
        if at_home:
            opt._refuse_away(at_home)
        engine = opt._engine
        if engine is not None:
            engine.hold()
        try:
            yield
        finally:
            for held in (engine, opt._engine):  # the operation may have made another
                if held is not None:
                    held.let_go()


class Away:
    """Parameters that hold other values, and their own."""

    def __init__(self, method: str, changing: list[Tensor], back: Callable[[], None]) -> None:
        self.method, self._back = method, back
        with torch.no_grad():
            self._home = [(tensor, tensor.detach().clone()) for tensor in changing]
        self._process, self._thread = os.getpid(), threading.get_ident()

    def left_behind(self) -> bool:
        """Whether another thread has forked: nobody in this process will leave the block."""
        return os.getpid() != self._process and threading.get_ident() != self._thread

    def come_home(self, opt: Optimizer) -> None:
        if opt._away is self:  # and not home already, in the child of a fork
            try:
                copy_all(self._home)
            finally:
                self._back()
                opt._away = None


class Block(AbstractContextManager[None], ContextDecorator):
    """`_away` for the user, of which nothing is traced."""

    def __init__(self, opt: Optimizer, method: str, leave: Callable[[], Leave]) -> None:
        self._where = opt, method, leave
        self._entered: list[AbstractContextManager[None]] = []

    @uncompiled
    def __enter__(self) -> None:
        block = _away(*self._where)
        block.__enter__()
        self._entered.append(block)

    @uncompiled
    def __exit__(self, *raised: Any) -> bool | None:
        return self._entered.pop().__exit__(*raised)


@contextmanager
def _away(opt: Optimizer, method: str, leave: Callable[[], Leave]) -> Iterator[None]:
    """A block in which parameters hold other values, and then their own again, exactly.

    Coming home asks for no word, since it must not be refused. So the plan stays put away until the next
    operation takes it back: nobody steps before the parameters are home, and nobody needs to see that moment.
    """
    elsewhere: Away | None = None
    try:
        with one_operation(opt, method):
            changing, go, back = leave()
            opt._away = elsewhere = Away(method, changing, back)
            try:
                go()
            finally:
                opt._put_away()
        yield
    finally:
        if elsewhere is not None:
            elsewhere.come_home(opt)


def copy_all(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """The second of each into the first."""
    with torch.no_grad():
        for to, source in pairs:
            to.copy_(source)
