"""The native plan of one optimizer, and what has to be true for it to be used again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import NoneType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fastopt import _dispatch
from fastopt._adding import native_rules
from fastopt._checks import EXACT_IN_DOUBLE
from fastopt._rows import SparseRows
from fastopt._state import rule_for
from fastopt.torch._containers import are_builtin, refuse_containers, state_of
from fastopt.torch._groups import Values
from fastopt.torch._states import UNCOUNTED, Maker, States, held, is_one_of, native_remainder, native_states
from fastopt.torch._tensors import (
    PLAIN,
    Array,
    as_array,
    as_it_lies,
    is_dense,
    is_lazy,
    is_part,
    label_of,
    local,
    name_of,
    refuse,
    repeats,
    sample_of,
    why_not,
)

if TYPE_CHECKING:
    from fastopt.torch._optimizer import Optimizer

# What became of a step (tensor_plan.hpp).
DONE, STRUCTURE, VALUES, GRADIENT, SKIPPED = range(5)

_EXCHANGE = getattr(Tensor, "__dlpack_c_exchange_api__", None)  # of torch 2.10 and later

#: What tells autograd of changed tensors.
touched: Callable[[Any], None] = torch._C._increment_version


class Part:
    """A parameter in the plan."""

    def __init__(self, group: int, place: int, number: int, parameter: Tensor, label: str) -> None:
        self.group, self.place, self.number = group, place, number
        self.rule: dict[str, Any] = {}
        self.batch_axes = 0
        self.parameter, self.label = parameter, label
        here = local(parameter)
        self.stage = here.detach()  # what the engine steps
        self.staged = not is_dense(here)
        self.plain = type(parameter) in PLAIN and not self.staged
        self.states: States = States(None, (), (), (), (), None, None, False, ())
        self.state: dict[str, Any] | None = None
        if self.staged:
            self.stage = self.stage.contiguous()

    def load(self) -> None:
        """The parameter's elements, where they do not lie densely."""
        if self.staged:
            self.stage.copy_(local(self.parameter).detach())

    def store(self) -> None:
        if self.staged:
            local(self.parameter).detach().copy_(self.stage)


class Engine:
    """A plan over the parameters that have had a gradient, in the order of the groups."""

    def __init__(self, opt: Optimizer, fresh: list[Tensor], counts: dict[int, int]) -> None:
        """Make the states that are missing, and the plan.

        `fresh` are states that were made for a step which has not been taken yet; `counts`, by the address of
        a state's tensor object, those of tensors whose rule keeps no step.
        """
        options = opt._options
        self.parts: list[Part] = []
        self._spans: list[tuple[int, int, str, str]] = []
        self._samples: list[
            list[Array]
        ] = []  # of each group: an array of each of its dtypes, without elements
        self.idle = {g for g, group in enumerate(opt.param_groups) if _is_idle(opt, group)}
        self.values = [
            Values(opt._formula, {}) if g in self.idle else opt._values(group, g)
            for g, group in enumerate(opt.param_groups)
        ]
        self._collect(opt)
        self._make_states(opt, fresh)
        # What may be changed in inference mode alone: whether that is on is looked at as addresses are.
        self._inference = any(local(part.parameter).is_inference() for part in self.parts)
        self.plain = (
            _EXCHANGE is not None
            and are_builtin(opt)
            and not self._inference
            and all(part.plain and isinstance(part.state, (dict, NoneType)) for part in self.parts)
        )
        self.plan = _dispatch.core.TensorPlan(
            options.clip_value or 0.0,
            options.clip_norm or 0.0,
            float(options.clip_norm_type),
            options.clip_norm_per,
            options.nonfinite,
            -1.0 if options.ema_decay is None else options.ema_decay,
            _EXCHANGE if self.plain else None,
            Tensor,
            touched,
        )
        self.plan.seed = options.seed
        self.volatile = [g for g, values in enumerate(self.values) if values.volatile]
        self._sizes = [len(group["params"]) for group in opt.param_groups]
        self._fill(opt, fresh, counts)
        self._signature = None if self.plain else self._sign(opt)
        self.retired = False
        self._hold: Any = None
        self._last_counts: dict[int, int] = {}

    # --- who may use it ---

    def hold(self) -> None:
        """No step until `let_go`; RuntimeError if one has not returned yet."""
        if self._hold is None:
            hold = self.plan.exclusive()
            hold.__enter__()
            self._hold = hold

    def let_go(self) -> None:
        if self._hold is not None and not self.retired:
            self._hold.__exit__()
            self._hold = None

    def retire(self) -> None:
        """No step any more: another thread may have this engine in hand when there is a new one already."""
        self.hold()
        if not self.retired:
            self._last_counts = self.counts()  # now, as a held plan tells them to this thread alone
            self.retired = True

    def revive(self) -> None:
        """Undo `retire`."""
        self.retired = False
        self.let_go()

    # --- making ---

    def _collect(self, opt: Optimizer) -> None:
        """Which parameters take part, all of them looked at before the first state is made."""
        number = opt._first
        for g, group in enumerate(opt.param_groups):
            for place, p in enumerate(group["params"]):
                label = label_of(number, group, place)
                number += 1
                if is_lazy(p):
                    continue
                rule = rule_for(opt._formula, self.values[g].values, tuple(p.shape), name_of(group, place))
                if p.grad is None and not self._has_state(opt, rule, p):
                    continue
                reason = why_not(p)
                if reason is None and repeats(local(p)):
                    reason = "has elements that share memory"
                if group.get("fused") and local(p).device.type == "meta":  # with the words of PyTorch
                    raise RuntimeError(
                        f"{label}: `fused=True` requires all the params to be floating point Tensors with "
                        f"memory, but it {reason}"
                    )
                refuse(label, reason)
                part = Part(g, place, number - 1, p, label)
                part.rule = rule
                part.batch_axes = opt._formula._batch_axes(self.values[g].values, p.dim())
                if is_part(p):
                    self._refuse_sharded(opt, label, self.values[g])
                gradient_of(part)
                self.parts.append(part)

    def _refuse_sharded(self, opt: Optimizer, label: str, values: Values) -> None:
        """What looks at all of a tensor, or of all tensors, would see this process's part alone."""
        options = opt._options
        alone = {
            "clip_norm": options.clip_norm is not None,
            f"nonfinite={options.nonfinite!r}": options.nonfinite != "propagate",
            f"{opt._formula.__name__}'s norms of whole tensors": opt._formula.rule.norms != "none",
            "cautious": values.values["cautious"],
            "centralize": values.values["centralize"],
            f"{opt._formula.__name__}'s transform of whole matrices": opt._formula.rule.matrix,
        }
        for what, asked in alone.items():
            if asked:
                raise ValueError(
                    f"{label}: is a shard of a DTensor, of which {what} would see this process's part alone; "
                    "use torch.nn.utils.clip_grad_norm_ before the step, or another rule"
                )

    def _has_state(self, opt: Optimizer, rule: dict[str, Any], p: Tensor) -> bool:
        state = opt.state.get(p) or {}
        names = [name for name in rule["states"] if name]
        return bool(names) and all(torch.is_tensor(held(state, name)) for name in names)

    def _make_states(self, opt: Optimizer, fresh: list[Tensor]) -> None:
        average, storage = opt._options.ema_decay is not None, opt._options.storage
        keeps_rest = storage.master is not None or storage.rounding != "nearest"
        for part in self.parts:
            rule = part.rule
            keeps = any(rule["states"]) or average or keeps_rest or rule["name"] not in UNCOUNTED
            if not keeps:
                continue
            maker = Maker(rule, part.label, storage, average, part.batch_axes)
            part.state = state_of(opt, part.parameter, part.label)
            starts = self.values[part.group].starts()
            try:
                part.states = maker.of(part.parameter, part.stage, part.state, starts)
            except Exception as error:
                if part.label in str(error):
                    raise
                raise ValueError(f"{part.label}: its state cannot be used: {error}") from error
            fresh.extend(part.states.made)

    def _fill(self, opt: Optimizer, fresh: list[Tensor], counts: dict[int, int]) -> None:
        groups = []
        for g, values in enumerate(self.values):
            parts = [part for part in self.parts if part.group == g]
            arrays = [as_array(part.stage) for part in parts]
            samples = {part.stage.dtype: sample_of(part.stage) for part in parts}
            self._samples.append(list(samples.values()))
            values.check(self._samples[g])
            groups.append(
                {
                    **native_rules(
                        opt._formula,
                        values.values,
                        [part.rule for part in parts],
                        [part.batch_axes for part in parts],
                    ),
                    "scheduled": False,
                    "arrays": arrays,
                    "labels": [part.label for part in parts],
                    "states": [
                        native_states(part.states)
                        if part.states.tensors
                        else (None,) * len(part.rule["states"])
                        for part in parts
                    ],
                    "ema": [None if part.states.ema is None else as_array(part.states.ema) for part in parts],
                    "masters": [native_remainder(part.states) for part in parts],
                    "shadows": [None] * len(parts),
                    "stochastic": opt._options.rounding == "stochastic",
                    "numbers": [part.number for part in parts],
                }
            )
        self.plan.add_groups(groups, [])
        new = [self._is_new(part, fresh) for part in self.parts]
        self.plan.begin(
            [self._count(part, new[i], counts) for i, part in enumerate(self.parts)],
            [part.states.found and not new[i] for i, part in enumerate(self.parts)],
            [self._averaged(g, fresh) for g in range(len(groups))],
        )
        if self.plain:
            self.plan.watch(opt.param_groups, opt.state, [self._entry(part) for part in self.parts])
        else:
            self._refuse_overlaps()

    def _refuse_overlaps(self) -> None:
        """What the native code looks at where it watches: does a state share memory with anything?"""
        for part in self.parts:
            states = part.states
            held = [(part.stage, "it"), *((t, "a state") for t in (*states.tensors, states.ema))]
            held += [(states.step, "its step"), *((t, "a number of its state") for t in states.scalars)]
            self._spans += [
                (*_extent(tensor), what, part.label)
                for tensor, what in held
                if tensor is not None and tensor.numel() > 0
            ]
        self._spans.sort()
        for (_, end, _, one), (begin, _, what, other) in pairwise(self._spans):
            if begin < end:
                raise ValueError(f"{other}: {what} shares memory with {one} or its state")

    def _refuse_shared(self, gradients: list[Tensor | None]) -> None:
        """The same of gradients, which would change while they are read."""
        for part, gradient in zip(self.parts, gradients, strict=True):
            if gradient is None or gradient.layout != torch.strided or gradient.numel() == 0:
                continue
            begin, end = _extent(gradient)
            last = bisect_left(self._spans, (end,)) - 1  # the last that begins before the gradient ends
            if last >= 0 and self._spans[last][1] > begin:
                other = self._spans[last][3]
                raise ValueError(
                    f"gradient of {part.label}: shares memory with {other} or its state; pass a copy"
                )

    def _is_new(self, part: Part, fresh: list[Tensor]) -> bool:
        return all(t is None or is_one_of(t, fresh) for t in part.states.tensors)

    def _count(self, part: Part, new: bool, counts: dict[int, int]) -> int:
        if part.states.step is not None:
            step = float(part.states.step)
            if not (0 <= step <= EXACT_IN_DOUBLE and step.is_integer()):
                raise ValueError(f"{part.label}: state 'step': expected an integer >= 0, got {step:g}")
            return int(step)
        first = next((t for t in part.states.tensors if t is not None), None)
        return 0 if first is None or new else max(1, counts.get(id(first), 1))

    def _averaged(self, group: int, fresh: list[Tensor]) -> bool:
        averages = [p.states.ema for p in self.parts if p.group == group and p.states.ema is not None]
        return any(not is_one_of(ema, fresh) for ema in averages)

    def _entry(self, part: Part) -> tuple[Any, ...]:
        remainder = None if part.states.remainder is None else part.states.remainder[1]
        tensors = (*part.states.tensors, *part.states.scales, remainder, part.states.ema)
        return (
            part.group,
            part.place,
            part.state,
            part.states.step,
            part.states.scalars,
            tuple(t for t in tensors if t is not None),
        )

    # --- is it still what it was? ---

    def take_rate(self, group: int, known: dict[str, Any]) -> bool:
        """The learning rate of a group where nothing else has been written; False where it may have been."""
        values = self.values[group]
        rate = values.new_rate(known)
        if rate is None:
            return False
        if rate != values.values["lr"]:
            values.with_rate(rate, known)
            self._set_group(group)
        elif self.plain:
            self.plan.saw_group(group)
        return True

    def take_values(self, group: int, values: Values) -> None:
        """Other numbers of the same formula."""
        self._refuse_late_starts(group, values)
        values.check(self._samples[group])
        self.values[group] = values
        self.volatile = [g for g, v in enumerate(self.values) if v.volatile]
        self._set_group(group)

    def _set_group(self, group: int) -> None:
        hypers, maximize = self.values[group].numbers()
        self.plan.set_group(group, hypers, maximize, False, [])
        if self.plain:
            self.plan.saw_group(group)

    def _refuse_late_starts(self, group: int, values: Values) -> None:
        """Where states begin may be edited for those that are still to come."""
        changed = self.values[group].other_start(values)
        if changed is not None and len([p for p in self.parts if p.group == group]) == self._sizes[group]:
            raise ValueError(
                f"{values.label}[{changed!r}]: expected {self.values[group].values[changed]!r}, got "
                f"{values.values[changed]!r}: states begin there, and all of this group have begun"
            )

    def still_holds(self, opt: Optimizer) -> bool:
        """What the native code looks at itself where it can: groups, parameters, states, and their memory."""
        refuse_containers(opt)
        if self._signature != self._sign(opt):
            return False
        known = {id(part.parameter) for part in self.parts}
        if any(p.grad is not None and id(p) not in known for p in opt._all_params()):
            return False
        for g, group in enumerate(opt.param_groups):
            if g in self.idle or self.take_rate(g, group):
                continue
            values = opt._values(group, g)
            if values.values != self.values[g].values:
                if not values.same_formula(self.values[g]):
                    return False
                self.take_values(g, values)
        return True

    def _sign(self, opt: Optimizer) -> list[Any]:
        signature: list[Any] = [[id(p) for p in group["params"]] for group in opt.param_groups]
        signature.append(self._inference and torch.is_inference_mode_enabled())
        for part in self.parts:
            here = local(part.parameter)
            try:
                signature.append((here.data_ptr(), here.stride(), here.shape, here.dtype, here.is_neg()))
            except RuntimeError:  # it has become one without memory: that is told when the plan is made anew
                signature.append(None)
            state = opt.state.get(part.parameter) if part.state is not None else None
            if not isinstance(state, Mapping):
                signature.append(state)
                continue
            for name, value in state.items():
                here = local(value) if torch.is_tensor(value) else None
                try:
                    memory = None if here is None else (here.data_ptr(), here.is_neg())
                except RuntimeError:  # has no memory of its own: sparse, or a shell around others
                    memory = None
                signature.append((name, id(value), memory))
        return signature

    # --- stepping ---

    def exchange(self, train: bool) -> None:
        """Move the parameters to where gradients are taken, or to their averages; they are at the other."""
        for part in self.parts:
            part.load()
        self.plan.train_mode = not train
        self.plan.exchange(train)
        for part in self.parts:
            part.store()
        self._touch(self.parts)

    def counts(self) -> dict[int, int]:
        """Of the tensors whose rule keeps no step: how often each was updated."""
        if self.retired:
            return self._last_counts
        return {
            id(part.states.tensors[0]): self.plan.count(i)
            for i, part in enumerate(self.parts)
            if part.states.step is None and part.states.tensors and part.states.tensors[0] is not None
        }

    def step_slowly(self, grad_scale: float) -> int:
        """A step with all that the native code does not read by itself: shards, copies, older versions."""
        gradients = [gradient_of(part) for part in self.parts]
        self._refuse_momentum_of_rows(gradients)
        if not self.plain:
            self._refuse_shared(gradients)
        arrays = [None if g is None else as_gradient(g) for g in gradients]
        for part in self.parts:
            part.load()
        if not self.plain:
            self._load_numbers()
        verdict = self.plan.step_arrays(arrays, grad_scale)
        if verdict == DONE and not self.plain:
            with torch._C.DisableTorchFunction():  # the step is taken: a mode of the user's may not fail now
                self._store_numbers(gradients)
        return verdict

    def _refuse_momentum_of_rows(self, gradients: list[Tensor | None]) -> None:
        """PyTorch's SGD moves rows that have no gradient by their momentum; a lazy step is another rule."""
        for part, gradient in zip(self.parts, gradients, strict=True):
            if gradient is None or gradient.layout == torch.strided or part.rule["name"] != "sgd":
                continue
            if any(part.rule["states"]):
                raise RuntimeError(
                    f"{part.label}: expected a dense gradient for SGD with momentum, which moves rows "
                    "without a gradient too, but it is sparse; use momentum=0"
                )

    def _load_numbers(self) -> None:
        for i, part in enumerate(self.parts):
            if part.states.step is not None:
                self.plan.set_count(i, self._count(part, False, {}))
            self.plan.set_scalars(i, [float(s) for s in part.states.scalars])

    def _store_scalars(self, i: int) -> None:
        for tensor, value in zip(self.parts[i].states.scalars, self.plan.scalars(i), strict=True):
            tensor.fill_(value)

    def _store_numbers(self, gradients: list[Tensor | None]) -> None:
        changed = [i for i, g in enumerate(gradients) if g is not None]
        for i in changed:
            part = self.parts[i]
            part.store()
            if part.states.step is not None:
                part.states.step.fill_(self.plan.count(i))
            self._store_scalars(i)
        for i, part in enumerate(self.parts):
            if part.rule["over_all"] and i not in changed:
                self._store_scalars(i)
        self._touch([self.parts[i] for i in changed])

    def _touch(self, parts: list[Part]) -> None:
        """Tell autograd; of a DTensor both it and the tensor in it, which counts by itself."""
        inner = [here for part in parts if (here := local(part.parameter)) is not part.parameter]
        touched((*(part.parameter for part in parts), *inner))


def _extent(tensor: Tensor) -> tuple[int, int]:
    """Addresses of the first byte, and behind the last."""
    last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    begin = tensor.data_ptr()
    return begin, begin + (last + 1) * tensor.element_size()


def _is_idle(opt: Optimizer, group: dict[str, Any]) -> bool:
    """Whether nothing of a group has ever had a gradient: what is written in it has no meaning yet."""
    return all(p.grad is None and not opt.state.get(p) for p in group["params"])


def as_gradient(gradient: Tensor) -> Any:
    """A gradient as the plan takes it."""
    if gradient.layout == torch.strided:
        return as_array(gradient)
    return SparseRows(as_array(gradient._indices()[0]), as_array(gradient._values().detach()))


def rows_of(part: Part, gradient: Tensor) -> Tensor:
    """A sparse gradient of some rows of the parameter, or an error that names the parameter."""
    expected = f"{part.label}: expected a sparse gradient of shape {tuple(part.stage.shape)} with one sparse"
    if gradient.sparse_dim() != 1 or gradient.shape != part.stage.shape:
        raise ValueError(
            f"{expected} dimension, got {gradient.sparse_dim()} of {gradient.dim()} of shape "
            f"{tuple(gradient.shape)}"
        )
    reason = why_not(gradient._values(), written=False)
    if reason is not None:
        raise TypeError(f"{expected} dimension on the CPU, but it {reason}")
    return gradient


def gradient_of(part: Part) -> Tensor | None:
    """The gradient of a parameter as it lies here, or an error that names the parameter."""
    gradient: Tensor | None = part.parameter.grad
    if gradient is None:
        return None
    expected = f"{part.label}: expected a dense gradient of shape {tuple(part.stage.shape)} on the CPU"
    if gradient.layout == torch.sparse_coo:
        return rows_of(part, gradient)
    if gradient.layout != torch.strided:
        raise RuntimeError(f"{expected}, but sparse gradients are not supported ({gradient.layout})")
    placements = getattr(part.parameter, "placements", None)
    if placements is not None and getattr(gradient, "placements", placements) != placements:
        gradient = gradient.redistribute(placements=placements)
    here = as_it_lies(local(gradient).detach())
    reason = why_not(here, written=False)
    if reason is not None:
        raise TypeError(f"{expected}, but it {reason}")
    if here.shape != part.stage.shape:
        raise ValueError(f"{expected}, got {tuple(here.shape)}")
    return here
