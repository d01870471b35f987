"""The base of every optimizer: groups, validation, and the plan that the engine steps through."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastopt import _dispatch, _state
from fastopt._checks import real, shown
from fastopt._hypers import COMMON, Hyper, check_single
from fastopt._memory import buffers_like
from fastopt._params import read_group, read_params
from fastopt.param_group import ParamGroup

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Optimizer"]

Array = NDArray[Any]
Params = Any  # an array, an iterable or dict of arrays, or a sequence of group dicts

#: Keywords of other libraries that choose an implementation; here there is one.
_ALWAYS_FUSED = ("fused", "foreach", "capturable", "differentiable")


class _NewGroup(NamedTuple):
    """A group that was checked and has its memory, before the plan knows of it."""

    values: dict[str, Any]
    arrays: list[Array]
    labels: list[str]
    rule: dict[str, Any]
    states: dict[str, list[Array]]
    ema: list[Array]


class Optimizer:
    """Base class of all optimizers. Use one of its subclasses, such as `fastopt.AdamW`.

    Parameters
    ----------
    params : ndarray, iterable of ndarray, dict of ndarray, or sequence of group dicts
        The arrays that `step` updates in place: float32, float64, float16 or bfloat16, writeable, dense in
        memory in any order of axes, overlapping nothing. A group dict holds ``"params"`` and any
        hyper-parameters of its own.
    lr : float or callable
        Learning rate, >= 0, or a callable of the number of completed steps (`fastopt.schedules`).
    weight_decay : float
        L2 penalty, added to the gradient, or decoupled decay of the parameters, as the class says.
    l1 : float, default 0
        Adds ``l1 * sign(theta)`` to the gradient, with sign(0) = 0.
    l1_proximal : float, default 0
        After the update every element moves by ``lr * l1_proximal`` towards zero and stops there: exact
        zeros.
    maximize : bool, default False
        Ascend instead of descend.
    clip_value : float, optional
        Gradient elements are clipped to ``[-clip_value, clip_value]``.
    clip_norm : float, optional
        Gradients are scaled by ``min(1, clip_norm / (norm + 1e-6))``, with the norm over all groups.
    nonfinite : {"propagate", "skip", "raise"}
        What happens when a gradient holds NaN or infinity: the arithmetic takes its course, the step is
        skipped and counted in `skipped`, or ValueError is raised. The latter two also where the gradient is
        finite but, after clipping, its square or multiple in the rule is not: float32 beyond 1.8e19, say.
        Skipped and raised steps change nothing.
    state_dtype : dtype, optional
        How states are stored: by default float32 for half-precision parameters, else the parameter's own
        dtype. Float16 is refused where a state holds squares of gradients. Bfloat16 has their range but eight
        bits: an average with a decay above 0.99 stands still once its steps are below half of the last bit.
    ema_decay : float, optional
        Keep `ema`, an average of the weights: a copy after the first step, then ``d * ema + (1 - d) *
        theta``.
    dtype : "bfloat16", optional
        Take uint16 arrays as bfloat16 bit patterns.
    """

    _rule: ClassVar[str]
    _decay: ClassVar[str] = "coupled"  # what weight_decay means: "coupled", "decoupled" or "rule"
    _hypers: ClassVar[Mapping[str, Hyper]] = {}  # of the class, besides the common ones

    def __init__(self, params: Params, options: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        common = self._accept(common)
        self._uint16 = common.pop("dtype", None)
        if self._uint16 is not None and str(self._uint16) != "bfloat16":
            raise ValueError(f'dtype: expected "bfloat16" or None, got {self._uint16!r}')
        self._clip_value = _optional("clip_value", common.pop("clip_value", None))
        self._clip_norm = _optional("clip_norm", common.pop("clip_norm", None))
        self._nonfinite = common.pop("nonfinite", "propagate")
        if self._nonfinite not in ("propagate", "skip", "raise"):
            raise ValueError(f"nonfinite: expected 'propagate', 'skip' or 'raise', got {self._nonfinite!r}")
        ema_decay = common.pop("ema_decay", None)
        self._ema_decay = (
            None if ema_decay is None else real("ema_decay", ema_decay, minimum=0.0, maximum=1.0)
        )
        state_dtype = common.pop("state_dtype", None)
        self._state_dtype = None if state_dtype is None else _storage_dtype(state_dtype)
        self._defaults = {key: self._check(key, value) for key, value in (*options.items(), *common.items())}
        self.defaults = dict(self._defaults)

        groups, self._names, self._single = read_params(params)
        self._plan = _dispatch.core.Plan(
            self._clip_value or 0.0,
            self._clip_norm or 0.0,
            self._nonfinite,
            -1.0 if self._ema_decay is None else self._ema_decay,
            self._uint16 is not None,
        )
        self._native_step: Callable[..., None] = self._plan.step
        self.param_groups: list[ParamGroup] = []
        self._params: list[Array] = []
        self._states: list[dict[str, Array]] = []
        self._ema: list[Array] = []
        self._schedules: dict[int, Callable[[int], float]] = {}
        self._rates: dict[int, float] = {}  # what the schedules said last
        # Never waited for: who finds it taken gets RuntimeError. One for each process: a fork copies it as it
        # is, but not the thread that would give it back.
        self._scheduled: dict[int, threading.Lock] = {}
        self._aside: str | None = None  # the context manager that has the parameters elsewhere
        self._adapt = self._single or self._names is not None
        self._add_groups(groups)

    # --- construction ---

    def _accept(self, common: Mapping[str, Any]) -> dict[str, Any]:
        known = {"l1": 0.0, "l1_proximal": 0.0, "maximize": False}
        whole = ("clip_value", "clip_norm", "nonfinite", "state_dtype", "ema_decay", "dtype")
        for key in common:
            if key in _ALWAYS_FUSED:
                raise TypeError(f"{key}: not an option here, fastopt is always fused")
            if key in ("rounding", "master"):
                raise TypeError(f"{key}: reserved for low-precision training, not available yet")
            if key not in known and key not in whole:
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {key!r}")
        return {**known, **common}

    def _check(self, key: str, value: Any) -> Any:
        hyper = self._hypers.get(key) or COMMON.get(key)
        if hyper is None:
            raise TypeError(f"{key}: no such hyper-parameter of {type(self).__name__}")
        return hyper.check(key, value)

    def _check_group(self, values: Mapping[str, Any]) -> None:
        """What must hold between the hyper-parameters of a group and its ``"params"``; extended where there
        is more.
        """
        check_single({**COMMON, **self._hypers}, values, values["params"])

    def _flags(self, values: Mapping[str, Any]) -> set[str]:
        """Names of the rule's flags that these hyper-parameters set: by default the fixed ones that are
        true.
        """
        return {key for key, hyper in self._hypers.items() if hyper.fixed and values[key] is True}

    def _decay_kind(self, values: Mapping[str, Any]) -> str:
        return "decoupled" if values.get("decoupled_weight_decay") else self._decay

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group of parameters: a dict with ``"params"`` and any hyper-parameters that differ from the
        defaults.

        Gradients of its arrays come after those of the groups there are. Nothing changes if the group is
        refused.
        """
        if self._names is not None:
            raise TypeError(
                "add_param_group: the parameters of this optimizer were given as a dict; make a new one"
            )
        self._not_aside("add_param_group()")
        self._add_groups([read_group(group, f"params[{len(self.param_groups)}]")])
        self._adapt = self._adapt and len(self._params) == 1

    def _add_groups(self, groups: Sequence[dict[str, Any]]) -> None:
        checked = []
        for number, group in enumerate(groups, len(self.param_groups)):
            try:
                values = {k: self._check(k, v) for k, v in group.items() if k != "params"}
                values = {**self._defaults, **values}
                self._check_group({**values, "params": group["params"]})
            except (TypeError, ValueError) as error:
                if len(groups) + len(self.param_groups) == 1 and set(group) == {"params"}:
                    raise
                raise type(error)(f"params[{number}]: {error}") from None
            checked.append((values, group["params"]))
        arrays = [a for _, group_arrays in checked for a in group_arrays]
        labels = self._labels(len(self._params), len(arrays))
        self._plan.check_parameters(arrays, labels)
        # all that can fail comes before the first change
        first, new = 0, []
        for values, group_arrays in checked:
            end = first + len(group_arrays)
            new.append(self._new_group(values, group_arrays, labels[first:end]))
            first = end
        for made in new:
            self._add_group(made)

    def _labels(self, first: int, count: int) -> list[str]:
        if self._names is not None:
            return [f"params[{name!r}]" for name in self._names]
        return [f"params[{i}]" for i in range(first, first + count)]

    def _new_group(self, values: dict[str, Any], arrays: list[Array], labels: list[str]) -> _NewGroup:
        rule = _state.find_rule(self._rule, self._flags(values))
        squared = [name for name in rule["squared"] if name]
        if squared and self._state_dtype == np.float16:
            raise TypeError(
                f"state_dtype: expected float32 or bfloat16 for {type(self).__name__}, got float16: its "
                f"state {squared[0]!r} holds squares of gradients, in float16 0 below 2e-4 and infinite "
                "from 256 on"
            )
        states = self._allocate(arrays, rule["states"])
        ema: list[Array] = []
        if self._ema_decay is not None:
            by_dtype = [np.dtype(np.float64 if a.dtype == np.float64 else np.float32) for a in arrays]
            ema = _buffers(arrays, by_dtype, slot=8)
        return _NewGroup(values, arrays, labels, rule, states, ema)

    def _add_group(self, new: _NewGroup) -> None:
        values, names = new.values, new.rule["states"]
        index = self._plan.add_group(
            self._rule, new.rule["flags"], self._native(values), self._decay_kind(values)
        )
        self._plan.set_maximize(index, values["maximize"])
        self._set_starts(index, values)
        for i, (array, label) in enumerate(zip(new.arrays, new.labels, strict=True)):
            native = [new.states[name][i] if name else None for name in names]
            self._plan.add_parameter(index, array, native, new.ema[i] if new.ema else None, label)
            self._states.append({name: new.states[name][i] for name in names if name})
        self._params += new.arrays
        self._ema += new.ema
        group = ParamGroup(
            {"params": tuple(new.arrays), **values}, lambda key, value: self._assign(index, key, value)
        )
        self.param_groups.append(group)
        self._watch(index, values["lr"])

    def _native(self, values: Mapping[str, Any]) -> dict[str, float]:
        known = {**COMMON, **self._hypers}
        native: dict[str, float] = {}
        for key, value in values.items():
            if key == "lr":
                native["lr"] = 0.0 if callable(value) else value
            elif key != "maximize":
                native.update(known[key].native(key, value))
        return native

    def _set_starts(self, index: int, values: Mapping[str, Any]) -> None:
        """Tell the plan where accumulators start; overridden by rules that leave it to the user."""

    def _allocate(self, arrays: Sequence[Array], names: Sequence[str]) -> dict[str, list[Array]]:
        dtypes = [self._state_dtype_of(a) for a in arrays]
        return {name: _buffers(arrays, dtypes, slot) for slot, name in enumerate(names) if name}

    def _state_dtype_of(self, array: Array) -> np.dtype[Any]:
        wide = array.dtype == np.float64
        if self._state_dtype is None:
            return np.dtype(np.float64 if wide else np.float32)
        if self._state_dtype == np.float64 and not wide:
            raise TypeError(
                f"state_dtype: expected at most float32 for {array.dtype} parameters, got float64"
            )
        return self._state_dtype

    # --- hyper-parameters ---

    def _assign(self, index: int, key: str, value: Any) -> Any:
        hyper = self._hypers.get(key) or COMMON.get(key)
        if key == "params" or hyper is None:
            raise TypeError(f"{key}: no hyper-parameter of {type(self).__name__} that can be assigned")
        value = hyper.check(key, value)
        group = self.param_groups[index]
        values = {**dict(group), key: value}
        self._check_group(values)
        if hyper.fixed or self._flags(values) != self._flags(group):
            if value != group[key]:
                raise ValueError(
                    f"{key}: chooses the formula and is fixed once the group is made ({group[key]!r})"
                )
            return value
        if key == "maximize":
            self._plan.set_maximize(index, value)
        elif key == "lr":
            self._watch(index, value)
        else:
            self._plan.set_hypers(index, dict(hyper.native(key, value)))
        return value

    def _set_group(self, index: int, values: Mapping[str, Any]) -> None:
        """Take values that were checked, together, and that choose the formula there is
        (`load_state_dict`).
        """
        group = self.param_groups[index]
        native = self._native({key: value for key, value in values.items() if key != "lr"})
        self._plan.set_hypers(index, native)
        self._plan.set_maximize(index, values.get("maximize", group["maximize"]))
        self._watch(index, values.get("lr", group["lr"]))
        group._values.update(values)

    def _watch(self, index: int, lr: float | Callable[[int], float]) -> None:
        if callable(lr):
            self._schedules[index] = lr
        else:
            self._plan.set_hypers(index, {"lr": lr})
            self._schedules.pop(index, None)

    @contextmanager
    def _with_rates(self) -> Iterator[None]:
        """Ask the schedules, before the plan is locked: they may do what they like, even raise, but not step.

        The rates hold for the step inside: another thread that wants to step meanwhile, or a schedule that
        does, gets RuntimeError, as it would within the plan's own step.
        """
        lock = self._scheduled.setdefault(os.getpid(), threading.Lock())
        if not lock.acquire(blocking=False):
            raise RuntimeError(
                "this optimizer is in use: a learning-rate schedule of its step is being asked "
                "(in another thread, or around this call)"
            )
        try:
            k = self.step_count
            rates = {index: _rate(schedule, k) for index, schedule in list(self._schedules.items())}
            for index, rate in rates.items():
                self._plan.set_hypers(index, {"lr": rate})
            self._rates = rates
            yield
        finally:
            lock.release()

    # --- the step ---

    def step(self, grads: Any = None, *, grad_scale: float = 1.0, zero_grads: bool = False) -> None:
        """Update every parameter in place.

        Parameters
        ----------
        grads : list or tuple of ndarray, optional
            One gradient per parameter, of its shape, in any strides; None leaves that parameter alone (its
            step count too). A dict if the parameters were given as one, an array if they were one array.
            Omitted: the arrays of `bind_grads`. Float32 parameters take float32, bfloat16 and float16
            gradients; float64: float64, float32; half types: their own and float32. Gradients are read only,
            unless `zero_grads`.
        grad_scale : float, default 1
            The gradients are divided by this (the loss scale of mixed-precision training).
        zero_grads : bool, default False
            Fill the gradients with zeros in the same pass; they must be writeable and overlap nothing.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came. Nothing was modified.
        RuntimeError
            If a call on this optimizer has not returned yet, or inside `lookahead` or `ema_weights`.
        """
        if self._schedules or self._adapt or self._aside:
            self._not_aside("step()")
            if self._adapt and grads is not None:
                grads = self._as_list(grads)
            if self._schedules:
                with self._with_rates():
                    self._native_step(grads, grad_scale, zero_grads)
                return
        self._native_step(grads, grad_scale, zero_grads)

    def _as_list(self, grads: Any) -> Any:
        if self._names is not None:
            if not isinstance(grads, Mapping):
                raise TypeError(f"grads: expected a dict, as the parameters were, got {shown(grads)}")
            if set(map(str, grads)) != set(self._names):
                raise ValueError(f"grads: expected the keys {self._names}, got {list(grads)}")
            by_name = {str(name): grad for name, grad in grads.items()}
            return [by_name[name] for name in self._names]
        return [grads] if isinstance(grads, np.ndarray) else grads

    def bind_grads(self, grads: Any) -> None:
        """Remember these gradient arrays, so that ``step()`` needs no argument: it reads them anew each time.

        They are checked now, and again at every step. Takes what `step` takes.
        """
        self._plan.bind_gradients(self._as_list(grads) if self._adapt else grads)

    @property
    def step_count(self) -> int:
        """Number of completed steps; skipped ones do not count."""
        return int(self._plan.steps)

    @property
    def skipped(self) -> int:
        """Number of steps skipped for non-finite gradients."""
        return int(self._plan.skipped)

    @property
    def grad_norm(self) -> float | None:
        """Global gradient norm of the last step, after unscaling and `clip_value`, before `clip_norm`.

        None if that step took none: it is measured with `clip_norm` or ``nonfinite="skip"`` or ``"raise"``.
        """
        norm = float(self._plan.norm)
        return None if norm < 0 else norm

    # --- parameters elsewhere for a while ---

    def _not_aside(self, what: str) -> None:
        if self._aside:
            raise RuntimeError(
                f"{what} inside `with optimizer.{self._aside}`: the parameters are not at their own place"
            )

    @contextmanager
    def _moved(self, name: str, move: Callable[[], None]) -> Iterator[None]:
        self._not_aside(f"{name}")
        kept = [p.copy(order="K") for p in self._params]
        self._aside = name
        try:
            move()
            yield
        finally:
            self._aside = None
            for p, copy in zip(self._params, kept, strict=True):
                np.copyto(p, copy)

    @contextmanager
    def lookahead(self) -> Iterator[None]:
        """Move the parameters to Nesterov's look-ahead point, for ``with opt.lookahead(): grads =
        f(params)``.

        The point is ``theta - lr mu v`` (with ``momentum_form="step"``: ``theta - mu v``), with the coming
        step's lr. The parameters are restored bit for bit, also after an exception. Only for rules with
        momentum of that kind.

        Raises
        ------
        RuntimeError
            If nested, or if `step` is called inside.
        TypeError
            If the rule has no such momentum, or takes Nesterov's step by itself (``nesterov=True``).
        """
        self._check_lookahead()
        with self._moved("lookahead()", self._look_ahead):
            yield

    def _look_ahead(self) -> None:
        if self._schedules:
            with self._with_rates():
                self._plan.look_ahead()
        else:
            self._plan.look_ahead()

    def _check_lookahead(self) -> None:
        raise TypeError(
            f"lookahead(): {type(self).__name__} has no momentum to look ahead along; use SGD(momentum=...)"
        )

    @property
    def ema(self) -> list[Array]:
        """The averages of the parameters (float32 for half types), in their order; needs ``ema_decay``."""
        if self._ema_decay is None:
            raise AttributeError(
                f"ema: this {type(self).__name__} keeps none; make it with ema_decay=0.999, say"
            )
        return list(self._ema)

    @contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Swap the averages in, for ``with opt.ema_weights(): evaluate()``, and the parameters back, bit for
        bit.
        """
        _ = self.ema
        if not any(self._plan.averaged):
            raise RuntimeError("ema_weights(): there is no average before the first step")
        with self._moved("ema_weights()", self._plan.write_ema):
            yield

    # --- state ---

    def state_dict(self) -> dict[str, Any]:
        """Everything that influences the next step, in the shape and with the names of PyTorch's
        `state_dict`.

        Returns
        -------
        dict
            ``"state"``: {index: {"step": int, name: array or float, ...}} of every parameter that was updated
            at least once; ``"param_groups"``: a list of dicts with the hyper-parameters and the indices of
            the group; and ``"fastopt"``: class, counters, options, averages. The arrays are copies.
        """
        return _state.collect(self, copy=True)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of this class, with the same groups and shapes; PyTorch's are taken as
        well.

        The arrays are copied into this optimizer's own. Nothing changes if anything does not fit.

        Raises
        ------
        TypeError, ValueError
            Naming the entry, what was expected and what came.
        """
        self._not_aside("load_state_dict()")
        _state.restore(self, state_dict)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the state to a checkpoint file: `.npz` without pickle, checksummed, replaced as a whole or
        not at all.
        """
        _state.save(self, path)

    def load(self, path: str | PathLike[str]) -> None:
        """Continue from a file that `save` wrote. Nothing changes if the file is damaged or does not fit."""
        self._not_aside("load()")
        _state.load(self, path)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}("]
        for i, group in enumerate(self.param_groups):
            shown_values = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            sizes = sum(p.size for p in group["params"])
            lines.append(f"  group {i}: {len(group['params'])} arrays, {sizes} elements; {shown_values}")
        return "\n".join([*lines, ")"])

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or copied: "
            "make a new one and use state_dict() and load_state_dict()"
        )


def _rate(schedule: Callable[[int], float], k: int) -> float:
    rate = schedule(k)
    try:
        return real("lr", rate, minimum=0.0)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error} from the learning-rate schedule {schedule!r} at step {k}") from None


def _optional(name: str, value: Any) -> float | None:
    return None if value is None else real(name, value, minimum=0.0, open_low=True)


def _storage_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """A dtype that states may be stored in; "bfloat16" means uint16 bit patterns where NumPy has no such
    dtype.
    """
    try:
        found = np.dtype(dtype)
    except TypeError:
        if str(dtype) != "bfloat16":
            raise TypeError(f"state_dtype: expected a floating-point dtype, got {dtype!r}") from None
        found = np.dtype(np.uint16)
    if (
        str(dtype) != "bfloat16"
        and found not in (np.float64, np.float32, np.float16)
        and found.name != "bfloat16"
    ):
        raise TypeError(f"state_dtype: expected float64, float32, float16 or bfloat16, got {found}")
    return found


def _buffers(arrays: Sequence[Array], dtypes: Sequence[np.dtype[Any]], slot: int) -> list[Array]:
    """`buffers_like`, for arrays whose buffers differ in dtype."""
    result: list[Array] = [np.empty(0)] * len(arrays)
    for dtype in dict.fromkeys(dtypes):
        which = [i for i, d in enumerate(dtypes) if d == dtype]
        for i, buffer in zip(which, buffers_like([arrays[i] for i in which], dtype, slot), strict=True):
            result[i] = buffer
    return result
