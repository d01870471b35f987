"""PyTorch as the second witness: which classes it has, and how to drive them with arrays."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import fastopt

NAMES = sorted(cls.__name__ for cls in fastopt.optimizers().values() if cls.rule.torch)


def require_torch() -> Any:
    """The torch module; without it the test module skips, or fails where FASTOPT_REQUIRE_TORCH=1."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        if os.environ.get("FASTOPT_REQUIRE_TORCH") == "1":
            raise
        pytest.skip("no second witness: pip install torch==2.13.0", allow_module_level=True)
    # Its threads wait for each other: on a busy machine far longer than these sizes take to compute.
    torch.set_num_threads(1)
    return torch


def require_jax() -> Any:
    """The jax module in float64, where FASTOPT_REQUIRE_JAX=1; else the test module skips.

    Only where it is asked for, because JAX must not share a process with the other tests: it forbids fork(),
    and its hook in the garbage collector swallows a KeyboardInterrupt.
    """
    if os.environ.get("FASTOPT_REQUIRE_JAX") != "1":
        pytest.skip("apart: FASTOPT_REQUIRE_JAX=1 pytest tests/test_from_jax.py", allow_module_level=True)
    jax = importlib.import_module("jax")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    return jax


def _own(value: Any) -> bool:
    return isinstance(value, str)  # torch's classes take no words; ours do ("gradient", "step")


def takes(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The part of some keyword arguments that torch's class of this name takes too."""
    known = inspect.signature(getattr(require_torch().optim, name).__init__).parameters
    return {key: value for key, value in options.items() if key in known and not _own(value)}


@contextmanager
def default_dtype(dtype: Any) -> Iterator[None]:
    """torch keeps step counts and scalar states in its default dtype: float64 runs need it to be float64."""
    torch = require_torch()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if np.dtype(dtype) == np.float64 else torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Witness:
    """A torch optimizer behind the interface of ours: arrays in, ``step(grads)``, arrays out."""

    def __init__(self, name: str, groups: Sequence[dict[str, Any]], dtype: Any, **options: Any) -> None:
        """``options`` go to the constructor; only there does torch's Adagrad read the start of its sums."""
        self.torch = require_torch()
        self.dtype = dtype
        if "initial_accumulator_value" in groups[0]:
            options = {**options, "initial_accumulator_value": groups[0]["initial_accumulator_value"]}
        own = [
            {**takes(name, group), "params": [self._tensor(p) for p in group["params"]]} for group in groups
        ]
        self.tensors = [p for group in own for p in group["params"]]
        self.optimizer = getattr(self.torch.optim, name)(own, **takes(name, options))

    def _tensor(self, a: Any) -> Any:
        return self.torch.from_numpy(np.array(a, dtype=self.dtype))

    @property
    def param_groups(self) -> Any:
        return self.optimizer.param_groups

    @property
    def params(self) -> list[Any]:
        return [p.numpy() for p in self.tensors]

    def step(
        self,
        grads: Sequence[Any],
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        clip_norm_type: float = 2.0,
        clip_norm_per: str = "all",
    ) -> None:
        for p, g in zip(self.tensors, grads, strict=True):
            # torch's Adafactor divides by the number of elements
            nothing = p.numel() == 0 and isinstance(self.optimizer, self.torch.optim.Adafactor)
            p.grad = None if g is None or nothing else self._tensor(g)
        if clip_value is not None:
            self.torch.nn.utils.clip_grad_value_(self.tensors, clip_value)
        if clip_norm is not None:
            tensors = [p for p in self.tensors if p.numel()]  # torch knows no largest element of nothing
            for some in [tensors] if clip_norm_per == "all" else [[p] for p in tensors]:
                self.torch.nn.utils.clip_grad_norm_(some, clip_norm, norm_type=clip_norm_type)
        self.optimizer.step()
