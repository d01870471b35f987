"""The base of the optimizers for PyTorch: `torch.optim.Optimizer` with a native step."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import FunctionType
from typing import Any, ClassVar

import torch
import torch.optim.optimizer as base
from torch import Tensor

from fastopt._authors import from_authors
from fastopt._cautious import check_cautious
from fastopt._compat import preset
from fastopt._hypers import Hyper
from fastopt._state import find_rule, states_of
from fastopt.optimizer import Optimizer as NumpyOptimizer
from fastopt.torch import _state_dict
from fastopt.torch._compiled import uncompiled, undo_capturable
from fastopt.torch._containers import refuse_containers
from fastopt.torch._engine import DONE, GRADIENT, SKIPPED, STRUCTURE, VALUES, Engine, Part
from fastopt.torch._groups import Values, keys_of
from fastopt.torch._one_operation import Away, Block, InUse, Leave, copy_all, one_operation
from fastopt.torch._options import (
    NAMES,
    CommonOptions,
    before_of,
    defaults_of,
    refuse_ineffective,
    take_options,
    why_no_attribute,
)
from fastopt.torch._states import EMA, LacksState, held, wanted_dtype
from fastopt.torch._tensors import is_lazy, label_of, local, name_of, refuse, why_not

__all__ = ["Optimizer"]


def _called(function: Any, qualname: str) -> Any:
    """The same function, which Python's and PyTorch's errors call by this name."""
    if hasattr(function, "__wrapped__"):  # by `uncompiled`, in older versions
        return uncompiled(_called(function.__wrapped__, qualname))
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__doc__, made.__annotations__ = function.__doc__, function.__annotations__
    made.__module__, made.__qualname__ = function.__module__, qualname
    vars(made).update(vars(function))
    return made


class Optimizer(torch.optim.Optimizer):
    """Base class of the optimizers for PyTorch. Use one of its subclasses, such as `fastopt.torch.AdamW`.

    They are classes of `torch.optim` (or have its interface) whose `step` runs in fastopt's engine, over
    dense CPU tensors of float32, float64, bfloat16 and float16. State lives in ``self.state[p]`` as tensors
    under PyTorch's names, and is read from there at every step: what replaces, casts or loads it keeps
    working.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) pairs, or of dicts
        As `torch.optim` takes them.
    clip_norm : float, optional
        Gradients are scaled by ``min(1, clip_norm / (norm + 1e-6))`` within the step, with the norm over all
        groups, as `torch.nn.utils.clip_grad_norm_` does before it; `grad` itself stays as it is.
    clip_norm_type : {2, "inf"}
        The root of the sum of squares, or the largest magnitude of an element.
    clip_norm_per : {"all", "tensor"}
        One norm over all groups, or of every tensor its own, by which it alone is scaled.
    clip_value : float, optional
        Gradient elements are clipped to ``[-clip_value, clip_value]``.
    nonfinite : {"propagate", "skip", "raise"}
        What happens when a gradient holds NaN or infinity.
    ema_decay : float, optional
        Keep an average of the weights, in ``state[p]["ema"]``; see `ema_weights`.
    state_dtype : torch.dtype, "int8" or dict, optional
        How states are stored. By default float32 for bfloat16 and float16 parameters (PyTorch: as the
        parameters), else the parameter's own dtype. ``"int8"``: codes of eight bits, ``"exp_avg.codes"``
        (uint8), with their scales beside them, ``"exp_avg.scales"``: PyTorch's classes, which know neither,
        cannot take codes for numbers. A dict chooses for each state. See `fastopt.Optimizer`. States that are
        there already keep their dtype, but for those that parameters are formed of.
    rounding : {"nearest", "stochastic", "kahan"}
        How half-precision parameters are rounded, see `fastopt.Optimizer`; what Kahan's rounding leaves out
        is ``state[p]["remainder"]``.
    master : {"split16", "split8"}, optional
        Keep the lower part of bfloat16 parameters in ``state[p]["remainder"]``: with 16 bits they train as
        float32.
    seed : int, default 0
        Of all random rounding, and of what `Kron` draws. Where that may happen it stands in `param_groups`,
        and `load_state_dict` takes it from there: a run goes on with the bits that it would have drawn.
    cautious, cautious_weight_decay, centralize : bool, default False
        Of groups, as `l1` and `l1_proximal` are: see `fastopt.Optimizer`.
    compat : str, optional
        Formula, constants and defaults of another framework, of the classes that take it in `fastopt`.
    """

    #: The class whose rule this is.
    _formula: ClassVar[type[NumpyOptimizer]]
    _keys: ClassVar[tuple[str, ...]]
    #: The number of its first parameter, in messages and where random bits are drawn.
    _first: int = 0
    #: The same of its first group.
    _first_group: int = 0
    #: How many calls of `step_in_backward` are in force.
    _in_backward: int = 0
    #: Hyper-parameters of which PyTorch's class takes more than the NumPy class.
    _wider: ClassVar[Mapping[str, Hyper]] = {}
    state: Any
    param_groups: list[dict[str, Any]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "_formula" in vars(cls):
            cls._keys = keys_of(cls._formula)
            for name, known in {"__init__": "__init__", "_step": "step"}.items():
                if name not in vars(cls):
                    setattr(cls, name, _called(getattr(cls, name), f"{cls.__name__}.{known}"))
            cls._step_with_hooks = torch.optim.Optimizer.profile_hook_step(cls._step)

    @uncompiled
    def __init__(self, params: Any, *args: Any, **keywords: Any) -> None:
        if not hasattr(type(self), "_formula"):
            raise TypeError(f"{type(self).__name__}: the base class; use one of its subclasses")
        keywords = self._with_preset(args, keywords)
        self._options: CommonOptions = take_options(keywords)
        self._engine: Engine | None = None
        self._fresh: list[Tensor] = []
        self._in_use = InUse()
        self._away: Away | None = None  # while the parameters hold their averages
        self._put_by: Engine | None = None  # the plan meanwhile, until the next operation
        self._extra = {**self._take_extra(keywords), **self._options.seeded(self._formula.rule)}
        super().__init__(params, *args, **keywords)
        self.defaults.update(self._extra)
        self._options.check_use([local(p) for group in self.param_groups for p in group["params"]])
        self._own_precision()

    def _with_preset(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """The keywords with those that `compat` fills in."""
        compat = keywords.pop("compat", None)
        placed = list(inspect.signature(super().__init__).parameters)[1 : 1 + len(args)]
        return preset(self._formula.__name__, compat, keywords, placed)

    def _take_extra(self, keywords: dict[str, Any]) -> dict[str, Any]:
        """Hyper-parameters that the NumPy class has and PyTorch's has not, taken out of the keywords."""
        theirs = inspect.signature(super().__init__).parameters
        if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
            return {}
        known = defaults_of(self._formula)
        return {
            key: self._formula._check(key, keywords.pop(key))
            for key in list(keywords)
            if key in known and key not in theirs
        }

    def _own_precision(self) -> None:
        """States that PyTorch's constructor has made (Adagrad's) get the dtype they have here."""
        rule = find_rule(self._formula.rule.kernel, set())
        for p, state in self.state.items():
            for name, value in state.items():
                if torch.is_tensor(value) and value.shape == p.shape and name in rule["states"]:
                    index = rule["states"].index(name)
                    wanted = wanted_dtype(self._options.storage, rule, index, local(p), "params")
                    if value.dtype != wanted:
                        state[name] = value.to(wanted)

    @uncompiled
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, as in `torch.optim`: while training, say, when layers are thawed."""
        with one_operation(self, "add_param_group()"):
            self._add_group(param_group)

    def _add_group(self, param_group: dict[str, Any]) -> None:
        for key, value in self._extra.items():
            param_group.setdefault(key, value)
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1], len(self.param_groups) - 1)
        except (TypeError, ValueError):
            self.param_groups.pop()
            raise

    def _check_group(self, group: dict[str, Any], number: int) -> None:
        first = sum(len(g["params"]) for g in self.param_groups[:number])
        for place, p in enumerate(group["params"]):
            if p.device.type == "meta" or is_lazy(p):
                continue  # has no memory yet; the step looks again
            refuse(label_of(first + place, group, place), why_not(p, written=False))
        values = self._values(group, number)
        check_cautious(self._formula, values.values)
        self._options.storage.check(
            type(self).__name__,
            find_rule(self._formula.rule.kernel, values.flags),
            states_of(self._formula),
        )

    def _values(self, group: dict[str, Any], number: int) -> Values:
        label = f"param_groups[{number + self._first_group}]"
        undo_capturable(group, self.defaults)
        refuse_ineffective(label, group, self._options, self.defaults, self._keys)
        late = before_of(self._formula)
        required = [key for key in self._keys if key in self.defaults and key not in late]
        return Values(self._formula, group, required, self._wider, label)

    # --- the step ---

    @uncompiled
    def step(self, *args: Any, **kwargs: Any) -> Any:
        """Update the parameters that have a gradient, in place.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model again and returns the loss, which is then returned.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            Naming the parameter by index and, if names are known, by name. No parameter was changed.
        RuntimeError
            If another thread's call on this optimizer has not returned yet, or inside `ema_weights`.
        """
        hooked = (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or base._global_optimizer_pre_hooks
            or base._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        )
        # as they came: a hook looks for the closure where it was given
        return self._step_with_hooks(*args, **kwargs) if hooked else self._step(*args, **kwargs)

    step.hooked = True  # type: ignore[attr-defined]  # PyTorch would wrap it, at some microseconds a step

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            self._refuse_early()
            with torch.enable_grad():
                loss = closure()
        scale = 1.0
        if "found_inf" in self.__dict__:  # set by GradScaler for the time of a step
            self._refuse_scaler()
            if self._found_inf():
                return loss
            scale = self._grad_scale()
        engine = self._engine
        if engine is None or engine.volatile or not engine.plain:
            self._step_with_care(None, STRUCTURE, scale)
            return loss
        try:
            verdict = engine.plan.step_tensors(self.param_groups, self.state, scale)
        except RuntimeError:
            if not engine.retired:
                raise
            verdict = STRUCTURE
        if verdict == DONE:
            if self._fresh:
                self._fresh.clear()
        elif verdict != SKIPPED:
            self._step_with_care(engine, verdict, scale)
        return loss

    step.__signature__ = inspect.signature(_step)  # type: ignore[attr-defined]
    _step_with_hooks = staticmethod(_step)  # of each class its own

    def _refuse_scaler(self) -> None:
        """A step within the backward pass cannot know that the loss was scaled."""
        if self._in_backward:
            for name in ("found_inf", "grad_scale"):  # which GradScaler leaves behind where a step raises
                self.__dict__.pop(name, None)
            raise RuntimeError(
                "step(): not by GradScaler, as the optimizer steps in the backward pass (step_in_backward): "
                "the gradients of a scaled loss have been used as they came, many times too large"
            )

    def register_step_pre_hook(self, hook: Any) -> Any:
        """As in `torch.optim`; RuntimeError if the optimizer steps in the backward pass."""
        self._refuse_hook("register_step_pre_hook()")
        return super().register_step_pre_hook(hook)

    def register_step_post_hook(self, hook: Any) -> Any:
        """As in `torch.optim`; RuntimeError if the optimizer steps in the backward pass."""
        self._refuse_hook("register_step_post_hook()")
        return super().register_step_post_hook(hook)

    def _refuse_hook(self, what: str) -> None:
        if self._in_backward:
            raise RuntimeError(
                f"{what}: the optimizer steps in the backward pass (step_in_backward), which calls no hooks"
            )

    def _found_inf(self) -> bool:
        found = self.__dict__["found_inf"]
        return found is not None and bool(torch.as_tensor(found).item())

    def _grad_scale(self) -> float:
        scale = self.__dict__.get("grad_scale")
        return 1.0 if scale is None else float(scale)

    def _step_with_care(self, engine: Engine | None, verdict: int, scale: float) -> None:
        """What the native step left to Python, which takes several calls.

        `engine` has given this verdict, unless it is None or has been replaced since.
        """
        with self._in_use.taken():
            self._take_back()
            self._refuse_step()
            if engine is None or engine is not self._engine:
                self._run(scale)
            else:
                self._settle(verdict, scale)

    def _refuse_step(self) -> None:
        """Raise if the parameters are not where a step can begin."""
        self._refuse_away("step()")

    def _refuse_early(self) -> None:
        """The same before anything is done for the step, and without having the optimizer to itself."""
        if self._away is None or not self._away.left_behind():
            self._refuse_step()

    def _run(self, scale: float) -> None:
        """A step that Python has to look at first."""
        engine = self._engine
        if engine is not None and (engine.retired or not (engine.plain or engine.still_holds(self))):
            engine = None  # one that is retired is in hand still where attributes were copied
        if engine is None or not self._read_groups(engine, engine.volatile):
            engine = self._rebuild()
        if engine.plain:
            self._settle(engine.plan.step_tensors(self.param_groups, self.state, scale), scale)
        else:
            self._settle(engine.step_slowly(scale), scale)

    def _settle(self, verdict: int, scale: float) -> None:
        """Do what a verdict of the native step asks for, until the step is done."""
        rebuilt = False
        while verdict not in (DONE, SKIPPED):
            engine = self._engine
            assert engine is not None
            if verdict == GRADIENT:
                verdict = engine.step_slowly(scale)
                continue
            if verdict == VALUES and self._read_groups(engine, engine.plan.changed_groups()):
                pass
            elif rebuilt:
                raise RuntimeError("step(): groups, states or parameters are changed by another thread")
            else:
                engine, rebuilt = self._rebuild(), True
            verdict = (
                engine.plan.step_tensors(self.param_groups, self.state, scale)
                if engine.plain
                else engine.step_slowly(scale)
            )
        if verdict == DONE:
            self._fresh.clear()

    def _read_groups(self, engine: Engine, groups: list[int]) -> bool:
        """Take over the values of these groups; False if one chooses another formula."""
        for g in groups:
            if g in engine.idle:
                engine.plan.saw_group(g)
                continue
            if engine.take_rate(g, self.param_groups[g]):
                continue
            values = self._values(self.param_groups[g], g)
            if not values.same_formula(engine.values[g]):
                return False
            engine.take_values(g, values)
        return True

    def _rebuild(self) -> Engine:
        """A plan of what is there now, in the place of the one there is."""
        self._engine = engine = self._renewed()
        return engine

    def _renewed(self) -> Engine:
        """The same, not yet seen by anybody else; until it is in its place there is none."""
        refuse_containers(self)
        old = self._engine
        if old is not None:
            self._refuse_other_states(old)
            old.retire()
        self._engine = None
        try:
            with torch.no_grad():
                engine = Engine(self, self._fresh, {} if old is None else old.counts())
        except LacksState as error:
            if old is not None:
                self._refuse_another_formula(old, error.name)
            raise
        if old is not None:
            engine.plan.skipped = old.plan.skipped
        return engine

    def _refuse_other_states(self, old: Engine) -> None:
        """Raise if an edit would give states that have begun other shapes, or another rule."""
        if not self._formula.rule.matrix and self._formula._other is None:
            return
        for g, (before, group) in enumerate(zip(old.values, self.param_groups, strict=False)):
            values = before if g in old.idle else self._values(group, g)
            for part in old.parts if values.values != before.values else ():
                if part.group != g or not self._has_begun(part):
                    continue
                name = name_of(group, part.place)
                key = before.restarted_by(values, tuple(part.stage.shape), name)
                if key is not None:
                    raise ValueError(
                        f"{values.label}[{key!r}]: expected {before.values[key]!r}, got "
                        f"{values.values[key]!r}: chooses the states, and those of {part.label} "
                        "have begun"
                    )

    def _has_begun(self, part: Part) -> bool:
        state = self.state.get(part.parameter)
        return isinstance(state, Mapping) and any(
            torch.is_tensor(held(state, name)) for name in part.rule["states"]
        )

    def _refuse_another_formula(self, old: Engine, state: str) -> None:
        """Raise if an edit has chosen a formula that keeps a state which was not there before."""
        for g, (before, group) in enumerate(zip(old.values, self.param_groups, strict=False)):
            if g in old.idle:
                continue
            values = self._values(group, g)
            key = before.chosen_with(values, state)
            if key is not None:
                old.revive()
                self._engine = old  # which goes on once the edit is taken back
                raise ValueError(
                    f"{values.label}[{key!r}]: expected {before.values[key]!r}, got "
                    f"{values.values[key]!r}: chooses the formula, and states of this group have begun "
                    f"without {state!r}"
                ) from None

    # --- what the step measures ---

    @property
    @uncompiled
    def grad_norm(self) -> float | None:
        """Global gradient norm of the last step, before clipping; None if that step took none."""
        engine = self._engine or self._put_by
        norm = -1.0 if engine is None else float(engine.plan.norm)
        return None if norm < 0 else norm

    @property
    @uncompiled
    def skipped(self) -> int:
        """Number of steps skipped for non-finite gradients (``nonfinite="skip"``)."""
        engine = self._engine or self._put_by
        return 0 if engine is None else int(engine.plan.skipped)

    # --- averages ---

    @property
    @uncompiled
    def ema(self) -> list[Tensor]:
        """The average of each parameter, in the order of the groups; before its first step the parameter."""
        if self._options.ema_decay is None:
            raise RuntimeError("ema: make the optimizer with ema_decay=")
        averages: list[Tensor] = []
        for group in self.param_groups:
            for place, p in enumerate(group["params"]):
                state: Any = {} if is_lazy(p) else self.state.get(p)
                average = state.get(EMA, p) if isinstance(state, Mapping) else p
                if average is p:
                    averages.append(p)
                    continue
                if not torch.is_tensor(average) or average.shape != p.shape or average.is_meta:
                    found = tuple(average.shape) if torch.is_tensor(average) else type(average).__name__
                    raise ValueError(
                        f"{label_of(len(averages), group, place)}: state {EMA!r}: expected a tensor of shape "
                        f"{tuple(p.shape)} with memory, got {found}"
                    )
                averages.append(average)
        return averages

    def _all_params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @uncompiled
    def ema_weights(self) -> AbstractContextManager[None]:
        """In a ``with`` block the parameters hold their averages, and then their own values again, exactly.

        Inside, `state_dict` works as ever (it holds no parameters); `step`, `load_state_dict`,
        `add_param_group` and copies raise RuntimeError, in every thread.

        Raises
        ------
        RuntimeError
            If the optimizer was made without `ema_decay`, if nested, or if a call on this optimizer has not
            returned yet.
        """
        return Block(self, "ema_weights()", self._to_averages)

    def _to_averages(self) -> Leave:
        pairs = [(p, ema) for p, ema in zip(self._all_params(), self.ema, strict=True) if ema is not p]
        return [p for p, _ in pairs], lambda: copy_all(pairs), lambda: None

    def _refuse_away(self, what: str) -> None:
        if self._away is not None:
            raise RuntimeError(
                f"{what}: not inside {self._away.method}, where the parameters hold their averages"
            )

    def _put_away(self) -> None:
        """No step until `_take_back`, not even one that has the plan in hand."""
        if self._engine is not None:
            self._engine.retire()
            self._put_by, self._engine = self._engine, None

    def _take_back(self) -> None:
        """Go on with the plan that was put away, once the parameters are home."""
        if self._away is not None and self._away.left_behind():
            self._away.come_home(self)
        if self._put_by is not None and self._away is None:
            engine, self._put_by = self._put_by, None
            engine.revive()
            self._engine = engine

    # --- attributes ---

    @uncompiled
    def __setattr__(self, name: str, value: Any) -> None:
        problem = None if name.startswith("_") else why_no_attribute(self, name)
        if problem is not None:
            raise AttributeError(problem)
        object.__setattr__(self, name, value)

    # --- saving ---

    @uncompiled
    def state_dict(self) -> dict[str, Any]:
        """As `torch.optim`'s: its tensors are the optimizer's own, not copies.

        It is put together between two steps, but later steps are seen through it. What shall stay as it is
        while others go on stepping, is to be copied before they do: ``copy.deepcopy(opt.state_dict())``.

        Raises
        ------
        RuntimeError
            If another thread's call on this optimizer has not returned yet.
        """
        hooked = self._optimizer_state_dict_pre_hooks or self._optimizer_state_dict_post_hooks
        with one_operation(self), self._in_use.admitting(hooked):
            return self._collected()

    def _collected(self) -> dict[str, Any]:
        saved: dict[str, Any] = super().state_dict()
        return saved

    @uncompiled
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state dict of this class, of `torch.optim`'s of that name, or of fastopt's for NumPy.

        Raises
        ------
        TypeError, ValueError
            If it is one of another class, or lacks a part (a KeyError too). Nothing was changed.
        RuntimeError
            If another thread's call on this optimizer has not returned yet, or inside `ema_weights`.
        """
        with one_operation(self, "load_state_dict()"):
            self._load(state_dict)

    def _load(self, state_dict: dict[str, Any]) -> None:
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected a dict, got {type(state_dict).__name__}")
        shapes = [None if is_lazy(p) else tuple(local(p).shape) for p in self._all_params()]
        state_dict = from_authors(
            self._formula.rule.kernel,
            _state_dict.from_numpy(self, state_dict),
            shapes,
            self.param_groups,
        )
        before = self.state, self.param_groups, [dict(group) for group in self.param_groups]
        options, extra, engine, fresh = self._options, self._extra, self._engine, self._fresh
        hooked = self._optimizer_load_state_dict_pre_hooks or self._optimizer_load_state_dict_post_hooks
        try:
            with self._in_use.admitting(hooked), _state_dict.dtypes_kept(self):
                super().load_state_dict(state_dict)
            self._take_seed()
            _state_dict.check(self)
        except BaseException as error:
            self.state, self.param_groups, values = before
            self._options, self._extra, self._engine, self._fresh = options, extra, engine, fresh
            if engine is not None:
                engine.revive()
            for group, old in zip(self.param_groups, values, strict=True):
                group.clear()
                group.update(old)
            if isinstance(error, KeyError) and not isinstance(error, _state_dict.LacksKey):
                raise _state_dict.LacksKey(error) from error
            raise
        self._forget_engine()  # a hook may have made one, with the seed before this

    def _forget_engine(self) -> None:
        if self._engine is not None:
            self._engine.retire()
            self._engine = None

    def _take_seed(self) -> None:
        """What was saved goes on with the random bits that it would have drawn; dicts without a seed with
        this optimizer's.
        """
        seeds = [group["seed"] for group in self.param_groups if "seed" in group]
        if any(seed != seeds[0] for seed in seeds):
            raise ValueError(f"load_state_dict: expected one seed for all groups, got {seeds}")
        if seeds:
            self._options = replace(self._options, seed=seeds[0])
            self._extra = {**self._extra, "seed": seeds[0]}
        for group in self.param_groups:
            group.update({key: value for key, value in self._extra.items() if key == "seed"})

    @uncompiled
    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        """As `copy` does it, but all of one moment: by itself it would copy after `__getstate__`."""
        with one_operation(self, "a copy"), self._in_use.admitting(True):
            made = type(self).__new__(type(self))
            memo[id(self)] = made
            made.__setstate__(copy.deepcopy(self.__getstate__(), memo))
            return made

    @uncompiled
    def __getstate__(self) -> dict[str, Any]:
        with one_operation(self, "a copy"):
            return {**super().__getstate__(), "_options": self._options, "_extra": self._extra}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.setdefault("_options", CommonOptions())
        self.__dict__.setdefault("_extra", {})
        self.__dict__.setdefault("_in_use", InUse())
        self.__dict__.setdefault("_engine", None)
        self._forget_engine()
        self._fresh, self._away, self._put_by = [], None, None
        self._in_backward = 0
        super().__setstate__(state)
        for key, before in before_of(self._formula).items():
            for group in self.param_groups if key in self.defaults else ():
                group.setdefault(key, before)  # saved by an earlier edition

    def __repr__(self) -> str:
        options = [
            f"    {name}: {value}\n"
            for name in NAMES
            if (value := getattr(self._options, name)) != getattr(CommonOptions, name)
        ]
        return super().__repr__()[:-1] + "".join(options) + ")"
