"""The common steps of every optimizer around the rules of ``reference``: clipping, decay, L1, EMA."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from reference import COMMON, ORACLES, Array, State


class Oracle:
    """What an optimizer of this name must do: the common steps around its rule, tensor by tensor.

    ``params`` are arrays, or group dicts as the public classes take them; they are copied and never written.
    ``lr`` is a float or a callable of the number of completed steps. Gradients are one flat list in group
    order. With ``dtype=np.float32`` it is no oracle but a yardstick: what the same formulas lose in single
    precision.
    """

    def __init__(
        self,
        name: str,
        params: Iterable[Any],
        lr: Any = None,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        clip_norm_type: Any = 2,
        clip_norm_per: str = "all",
        nonfinite: str = "propagate",
        ema_decay: float | None = None,
        dtype: Any = np.float64,
        **options: Any,
    ) -> None:
        self.spec = ORACLES[name]
        defaults = {**COMMON, **self.spec.defaults, **options, **({} if lr is None else {"lr": lr})}
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.param_groups = [{**defaults, **group} for group in groups]
        for group in self.param_groups:
            if unknown := set(group) - set(defaults) - {"params"}:
                raise TypeError(f"{name}: no such keyword: {unknown}")
        self.group_of = [i for i, group in enumerate(groups) for _ in group["params"]]
        self.params = [np.array(p, dtype=dtype) for group in groups for p in group["params"]]
        self.dtype = np.dtype(dtype)
        self.state: list[State] = [{} for _ in self.params]
        self.common: State = {}
        self.steps = [0 for _ in self.params]
        self.step_count = 0
        self.skipped = 0
        self.clip_value, self.clip_norm, self.nonfinite = clip_value, clip_norm, nonfinite
        self.largest, self.per_tensor = clip_norm_type != 2, clip_norm_per == "tensor"
        self.ema_decay, self.ema = ema_decay, [p.copy() for p in self.params]

    def step(self, grads: Sequence[Any], *, grad_scale: float = 1.0) -> None:
        """One step; the order of its parts is the order below. ``None`` leaves a tensor alone."""
        gs = [None if g is None else np.asarray(g, dtype=self.dtype) / grad_scale for g in grads]
        if self.nonfinite == "skip" and not all(np.isfinite(g).all() for g in gs if g is not None):
            self.skipped += 1
            return
        if self.clip_value is not None:
            gs = [None if g is None else np.clip(g, -self.clip_value, self.clip_value) for g in gs]
        if self.clip_norm is not None:
            norms = [self._norm([g]) for g in gs] if self.per_tensor else [self._norm(gs)] * len(gs)
            factors = [min(1.0, self.clip_norm / (norm + 1e-6)) for norm in norms]
            gs = [None if g is None else g * factor for g, factor in zip(gs, factors, strict=True)]
        self._update([(i, *self._adjusted(i, g)) for i, g in enumerate(gs) if g is not None])
        if self.ema_decay is not None:
            d = self.ema_decay if self.step_count > 0 else 0.0
            self.ema = [d * e + (1 - d) * p for e, p in zip(self.ema, self.params, strict=True)]
        self.step_count += 1

    def _norm(self, gs: Sequence[Array | None]) -> Any:
        if self.largest:
            return max((np.max(np.abs(g), initial=0.0) for g in gs if g is not None), default=0.0)
        return np.sqrt(sum(np.sum(g * g) for g in gs if g is not None))

    def _adjusted(self, i: int, g: Array) -> tuple[Array, Array, SimpleNamespace]:
        """Parameter and gradient as the rule receives them."""
        h = SimpleNamespace(**self.param_groups[self.group_of[i]])
        h.lr = h.lr(self.step_count) if callable(h.lr) else h.lr
        theta = self.params[i]
        if h.centralize and theta.ndim > 1 and theta.size:
            g = g - g.mean(axis=tuple(range(1, theta.ndim)), keepdims=True)
        if h.maximize:
            g = -g
        if self._decay(h) == "gradient":
            g = g + h.weight_decay * theta
        g = g + h.l1 * np.sign(theta)
        return theta, g, h

    def _update(self, ready: Sequence[tuple[int, Array, Array, SimpleNamespace]]) -> None:
        if self.spec.together is not None and ready:
            self.spec.together([(theta, g, self.state[i], h) for i, theta, g, h in ready], self.common)
        for i, theta, g, h in ready:
            self.steps[i] += 1
            h.common, h.number = self.common, i  # where it stands: Kron draws random numbers by that
            self.params[i] = np.asarray(self._moved(i, theta, g, h), dtype=self.dtype)
        for steps, state in zip(self.steps, self.state, strict=True):
            state.update({name: self.common[name] for name in self.spec.numbers if steps > 0})

    def _moved(self, i: int, theta: Array, g: Array, h: SimpleNamespace) -> Array:
        decay = self._decay(h)
        still = self.spec.fills_first and self.steps[i] == 1
        if (h.cautious or h.cautious_weight_decay) and not still:
            theta = self._cautiously(i, theta, g, decay, h)
        else:
            if decay == "theta" and not still:
                theta = theta * (1 - h.lr * h.weight_decay)
            theta = self.spec.rule(theta, g, self.state[i], self.steps[i], h)
        if h.l1_proximal and not still:
            theta = np.sign(theta) * np.maximum(np.abs(theta) - h.lr * h.l1_proximal, 0.0)
        return theta

    def _decay(self, h: SimpleNamespace) -> str:
        """Where weight decay acts."""
        decay = "theta" if getattr(h, "decoupled_weight_decay", False) else self.spec.decay
        return decay if getattr(h, "decouple", True) else "gradient"

    def _cautiously(self, i: int, theta: Array, g: Array, decay: str, h: SimpleNamespace) -> Array:
        """Liang et al. 2024 (arXiv:2411.16085), Algorithm 1, with timm's least share; Chen et al. 2025
        (arXiv:2510.12402) for decay. A decay inside the rule is what theta is less afterwards than the step.
        """
        moved = self.spec.rule(theta, g, copy.deepcopy(self.state[i]), self.steps[i], copy.copy(h))
        step = self.spec.rule(np.zeros_like(theta), g, self.state[i], self.steps[i], h)
        lost = {"gradient": 0.0, "theta": h.lr * h.weight_decay * theta, "rule": theta - (moved - step)}
        decays = np.sign(step) * np.sign(theta) <= 0 if h.cautious_weight_decay else True
        theta = theta - np.where(decays, lost[decay], 0.0)
        if h.cautious and step.size:
            agrees = np.sign(step) * np.sign(g) < 0
            step = np.where(agrees, step / max(np.mean(agrees), 1e-3), 0.0)
        return theta + step
