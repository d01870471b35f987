"""The base of every optimizer: groups, validation, and the plan that the engine steps through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

import numpy as np

from fastopt import _adding, _dispatch, _restore, _state
from fastopt._attributes import OPTIONS, why_not
from fastopt._cautious import check_cautious
from fastopt._checks import brief, real, shown
from fastopt._clipping import nonfinite, norm_per, norm_type
from fastopt._hypers import COMMON, COMMON_DEFAULTS, MOST_IN_SINGLE, Hyper, check_single
from fastopt._params import give_shadow, read_group, read_params
from fastopt._precision import Coded, Remainder
from fastopt._rows import SparseRows
from fastopt._signature import Array, Gradients, Lr, Params
from fastopt._storage import Storage
from fastopt._views import State, parameters
from fastopt.param_group import ParamGroups, same_arrays
from fastopt.rule import Rule

__all__ = ["Optimizer"]

#: Keywords of other libraries that choose an implementation; here there is one.
_ALWAYS_FUSED = ("fused", "foreach", "capturable", "differentiable")
_LR_IS_A_RATE: dict[type, bool] = {}  # of classes, once asked


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
    cautious : bool, default False
        Leave out the elements of an update that do not go down their gradient, and divide the others by the
        share of the tensor that is left (at least 0.001). States are updated as ever. Refused where the
        update depends on the parameters themselves (ASGD, FTRL, LAMB, LARS, Prodigy, most of Schedule-Free,
        rules of rows and of matrices).
    cautious_weight_decay : bool, default False
        Decay, which must be decoupled, only the elements that their update (before `cautious`) does not take
        away from 0.
    centralize : bool, default False
        Take from the gradients of tensors with two or more axes the mean over all axes but the first, after
        clipping and before everything else.
    clip_value : float, optional
        Gradient elements are clipped to ``[-clip_value, clip_value]``.
    clip_norm : float, optional
        Gradients are scaled by ``min(1, clip_norm / (norm + 1e-6))``, as by PyTorch's ``clip_grad_norm_``.
    clip_norm_type : {2, "inf"}
        Which norm: 2, the root of the sum of squares, or ``"inf"`` (as well ``math.inf``), the largest
        magnitude of an element.
    clip_norm_per : {"all", "tensor"}
        Of what: one norm over all groups, or of every tensor its own, by which it alone is scaled. The
        defaults are the first of each.
    nonfinite : {"propagate", "skip", "raise"}
        What happens when a gradient holds NaN or infinity: the arithmetic takes its course, the step is
        skipped and counted in `skipped`, or ValueError is raised. The latter two also where the gradient is
        finite but, after clipping, its square or multiple in the rule is not: float32 beyond 1.8e19, say.
        Skipped and raised steps change nothing.
    state_dtype : dtype, "int8" or dict, optional
        How states are stored: by default float32 for half-precision parameters, else the parameter's own
        dtype. ``"int8"``: averages of gradients and of their squares in eight bits, with a float32 scale for
        64 of them; other states, and those of fewer than 4096 elements, stay float32. A dict
        (``{"exp_avg": "bfloat16", "exp_avg_sq": "int8"}``) chooses for each state, whatever its size. What is
        rounded to sixteen or eight bits is rounded at random, up or down, right on average: otherwise
        averages would stand still once their steps are below half of the last bit. States that parameters are
        formed of (``z`` of Schedule-Free, Prodigy's ``p0``, all of FTRL and ASGD, the variance of centered
        RMSprop) and numbers of rows and matrices are kept as they are computed; a class that keeps no others
        refuses half types. Float16 holds 6e-8 to 65504, where larger states end: it is refused where a state
        holds squares of gradients or must not vanish with them; eight bits for float64 parameters.
    rounding : {"nearest", "stochastic", "kahan"}
        How half-precision parameters are rounded after the update, which is computed in float32: to nearest
        (steps below half of the last bit are lost: a weight of 1 in bfloat16 does not move by 1e-3), up or
        down at random so that it is right on average, or to nearest with what rounding left out kept in a
        second array of the same dtype. What was left of a weight that you have set to another since is void.
    master : {"split16", "split8"}, optional
        Keep the lower part of bfloat16 parameters beside them, which are then the upper part: 16 bits (they
        train as float32, exactly) or 8. ``opt.state[w]["master"]`` shows the whole numbers.
    seed : int, default 0
        Of all random rounding, and of what `Kron` draws. The bits drawn depend on it, the step, the
        parameter's position and the element alone: every CPU and number of threads gives the same.
    shadow : ndarray, or list or dict of ndarray, optional
        Bfloat16 or float16 copies of float32 parameters, of their shapes and in the form of `params`, that
        every step writes in the same pass: for models that compute in half precision. They are filled when
        the optimizer is made, and again when a state is loaded; what else writes to the parameters leaves
        them behind until the next step. A group dict may have its own ``"shadow"``. A uint16 array is taken
        as bfloat16 bit patterns also without `dtype`: as a shadow it can mean nothing else.
    ema_decay : float, optional
        Keep `ema`, an average of the weights: a copy after the first step, then ``d * ema + (1 - d) *
        theta``.
    dtype : "bfloat16", optional
        Take uint16 arrays as bfloat16 bit patterns.
    """

    #: What is true of the update rule, for whoever compares optimizers.
    rule: ClassVar[Rule]
    _hypers: ClassVar[Mapping[str, Hyper]] = {}  # of the class, besides the common ones
    _other: ClassVar[str | None] = None  # the engine's rule for parameters that the class's own does not take

    def __init__(self, params: Params, lr: Lr = 1e-3, **options: Any) -> None:
        common, hypers = self._accept(options)
        self._uint16 = common.pop("dtype", None)
        if self._uint16 is not None and not (
            isinstance(self._uint16, (str, np.dtype)) and str(self._uint16) == "bfloat16"
        ):
            raise ValueError(f'dtype: expected "bfloat16" or None, got {brief(self._uint16)}')
        self._clip_value = _optional("clip_value", common.pop("clip_value", None))
        self._clip_norm = _optional("clip_norm", common.pop("clip_norm", None))
        self._clip_norm_type = norm_type(common.pop("clip_norm_type", 2))
        self._clip_norm_per = norm_per(common.pop("clip_norm_per", "all"))
        self._nonfinite = nonfinite(common.pop("nonfinite", "propagate"))
        ema_decay = common.pop("ema_decay", None)
        self._ema_decay = (
            None if ema_decay is None else real("ema_decay", ema_decay, minimum=0.0, maximum=1.0)
        )
        shadow = common.pop("shadow", None)
        self._storage = Storage.read(common)
        self._defaults = {key: self._check(key, value) for key, value in {"lr": lr, **hypers}.items()}

        groups, self._names, self._single = read_params(params)
        if shadow is not None:
            give_shadow(groups, self._names, shadow)
        self._plan = _dispatch.core.Plan(
            self._clip_value or 0.0,
            self._clip_norm or 0.0,
            float(self._clip_norm_type),
            self._clip_norm_per,
            self._nonfinite,
            -1.0 if self._ema_decay is None else self._ema_decay,
            self._uint16 is not None,
        )
        self._plan.seed = self._storage.seed
        self._native_step: Callable[..., None] = self._plan.step
        # Replaced as a whole, in the same native call that changes the plan: see `_adding` and `_state`.
        self._param_groups = ParamGroups()
        self._params: list[Array] = []
        self._states: list[dict[str, Array | Coded]] = []
        self._remainders: list[Remainder | None] = []
        self._ema: list[Array] = []
        self._rules: list[dict[str, Any]] = []  # the engine's, of each parameter
        self._schedules: dict[int, Callable[[int], float]] = {}
        self._adapt = self._single or self._names is not None
        _adding.add_groups(self, groups)

    # --- construction ---

    def _accept(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The options of the whole optimizer, and the hyper-parameters of its groups with their defaults."""
        if type(self) is Optimizer:
            raise TypeError("Optimizer: the base class; use one of its subclasses, such as fastopt.AdamW")
        for key in given:
            if key in _ALWAYS_FUSED:
                raise TypeError(f"{key}: not an option here, fastopt is always fused")
            if key not in (*OPTIONS, *COMMON, *self._hypers):
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {key!r}")
        last = dict(COMMON_DEFAULTS)
        own = {key: value for key, value in given.items() if key not in (*OPTIONS, *last)}
        last |= {key: value for key, value in given.items() if key in last}
        return {key: value for key, value in given.items() if key in OPTIONS}, {**own, **last}

    @classmethod
    def _check(cls, key: str, value: Any) -> Any:
        hyper = cls._hypers.get(key) or COMMON.get(key)
        if hyper is None:
            raise TypeError(f"{key}: no such hyper-parameter of {cls.__name__}")
        return hyper.check(key, value)

    @classmethod
    def _check_group(cls, values: Mapping[str, Any]) -> None:
        """What must hold between the hyper-parameters of a group and its ``"params"``; extended where there
        is more.
        """
        check_single({**COMMON, **cls._hypers}, values, values["params"])
        check_cautious(cls, values)

    @classmethod
    def _flags(cls, values: Mapping[str, Any]) -> set[str]:
        """Names of the rule's flags that these hyper-parameters set: by default the fixed ones that are
        true.
        """
        return {key for key, hyper in cls._hypers.items() if hyper.fixed and values[key] is True}

    @classmethod
    def _other_flags(cls, values: Mapping[str, Any]) -> set[str]:
        """The same of the other rule."""
        return set()

    @classmethod
    def _starts(cls, values: Mapping[str, Any]) -> Mapping[str, float | None]:
        """Where accumulators start that the rule leaves to the user: a number, None for the square of the
        first gradient.
        """
        return {}

    @classmethod
    def _takes(cls, values: Mapping[str, Any], shape: tuple[int, ...], name: str | None) -> bool:
        """Whether the class's own rule takes a parameter of this shape and name, and not `_other`."""
        return True

    @classmethod
    def _batch_axes(cls, values: Mapping[str, Any], ndim: int) -> int:
        """How many leading axes of a parameter count matrices, for rules of matrices."""
        return 0

    @classmethod
    def _state_shape(
        cls, values: Mapping[str, Any], name: str, shape: tuple[int, ...]
    ) -> tuple[int, ...] | None:
        """The shape of a state that only the rule of matrices knows (rules::Shape::own), of a parameter of
        this shape; None where that has none.
        """
        return shape

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
        with self._plan.exclusive():
            self._plan.refuse_elsewhere("add_param_group()")
            _adding.add_groups(self, [read_group(group, f"params[{len(self._param_groups)}]")])

    @classmethod
    def _native(cls, values: Mapping[str, Any]) -> dict[str, float]:
        """The engine's numbers; of a schedule none, its rate comes with every step."""
        known = {**COMMON, **cls._hypers}
        native: dict[str, float] = {}
        for key, value in values.items():
            if key not in ("params", "maximize") and not (key == "lr" and callable(value)):
                native.update(known[key].native(key, value))
        return native

    # --- hyper-parameters ---

    @property
    def param_groups(self) -> ParamGroups:
        """The groups, as mappings: assigning to ``param_groups[i]["lr"]`` takes effect at the next step."""
        return self._param_groups

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The hyper-parameters of a group that has none of its own; read-only."""
        return MappingProxyType(self._defaults)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            problem = why_not(self, name)
            if problem is not None:
                raise AttributeError(problem)
        object.__setattr__(self, name, value)

    def _change_group(self, index: int, given: Mapping[str, Any]) -> None:
        """Assign to keys of a group (`ParamGroup`), all or none."""
        group = self._param_groups[index]
        if len(given) == 1 and self._takes_rate(given.get("lr"), group._values):
            values = {**group._values, **given}
            with self._plan.exclusive():
                self._plan.set_group(index, *self._native_group(values), self._mirrors({index: values}))
            return
        new = {}
        for key, value in given.items():
            if key == "params" and same_arrays(value, group["params"]):
                continue
            hyper = self._hypers.get(key) or COMMON.get(key)
            if key == "params" or hyper is None:
                raise TypeError(f"{key}: no hyper-parameter of {type(self).__name__} that can be assigned")
            new[key] = hyper.check(key, value)
        with self._plan.exclusive():
            values = {**group._values, **new}
            self._check_group(values)
            self._refuse_another_formula(group._values, new)
            self._plan.set_group(index, *self._native_group(values), self._mirrors({index: values}))

    @classmethod
    def _takes_rate(cls, lr: Any, values: Mapping[str, Any]) -> bool:
        """Whether nothing but `lr` need be looked at for it to be taken in place of the one in `values`.

        That is what a loop does at every step. The engine must know `lr` as itself, and form nothing of it.
        """
        if type(lr) is not float or not 0.0 <= lr <= MOST_IN_SINGLE or type(values["lr"]) is not float:
            return False
        if cls not in _LR_IS_A_RATE:
            one, two = (cls._native({**values, "lr": rate}) for rate in (1.0, 2.0))
            alone = one.pop("lr", None) == 1.0 and two.pop("lr", None) == 2.0 and one == two
            _LR_IS_A_RATE[cls] = cls._other is None and alone
        return _LR_IS_A_RATE[cls]

    def _refuse_another_formula(self, old: dict[str, Any], new: Mapping[str, Any]) -> None:
        changed = [key for key in new if new[key] != old[key]]
        fixed = [key for key in changed if key in self._hypers and self._hypers[key].fixed]
        if not fixed and self._flags({**old, **new}) != self._flags(old):
            alone = [key for key in changed if self._flags({**old, key: new[key]}) != self._flags(old)]
            fixed = alone or changed
        if fixed:
            raise ValueError(
                f"{fixed[0]}: chooses the formula and is fixed once the group is made ({old[fixed[0]]!r})"
            )

    @classmethod
    def _native_group(cls, values: Mapping[str, Any]) -> tuple[dict[str, float], bool, bool]:
        """What the plan knows of a group: numbers, maximize, whether its rate comes from a schedule."""
        return cls._native(values), values["maximize"], callable(values["lr"])

    def _mirrors(self, groups: Mapping[int, dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """What changes here when the plan takes these values: dicts, and new values of their keys."""
        schedules = {i: lr for i, lr in self._schedules.items() if i not in groups}
        schedules |= {i: values["lr"] for i, values in groups.items() if callable(values["lr"])}
        mirrors = [(vars(self._param_groups[i]), {"_values": values}) for i, values in groups.items()]
        return [*mirrors, (vars(self), {"_schedules": schedules})]

    def _ask_schedules(self) -> tuple[dict[int, float], int]:
        """The rates of the coming step, and its number.

        Asked with the plan free: schedules may do what they like with this optimizer, even raise, but not
        step. Should another thread step meanwhile, the plan refuses the rates.
        """
        with self._plan.asking():
            k = self.step_count
            return {index: _rate(schedule, k) for index, schedule in list(self._schedules.items())}, k

    # --- the step ---

    def step(
        self, grads: Gradients | None = None, *, grad_scale: float = 1.0, zero_grads: bool = False
    ) -> None:
        """Update every parameter in place.

        Parameters
        ----------
        grads : list or tuple of ndarray or SparseRows, optional
            One gradient per parameter, of its shape, in any strides; None leaves that parameter alone (its
            step count too), `fastopt.SparseRows` all rows but some. A dict if the parameters were given as
            one, an array if they were one array. Omitted: the arrays of `bind_grads`. Float32 parameters take
            float32, bfloat16 and float16 gradients; float64: float64, float32; half types: their own and
            float32. Gradients are read only, unless `zero_grads`.
        grad_scale : float, default 1
            The gradients are divided by this (the loss scale of mixed-precision training) before anything
            else, in the type of computation: a quotient beyond its largest number is infinite.
        zero_grads : bool, default False
            Fill the gradients with zeros in the same pass; they must be writeable and overlap nothing. A step
            that is skipped or refused leaves them as they are: whoever adds to them must zero those himself.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, what was expected and what came. Nothing was modified.
        RuntimeError
            If a call on this optimizer has not returned yet, or inside `lookahead` or `ema_weights`.
        """
        if self._adapt and grads is not None:
            grads = self._as_list(grads)
        if self._schedules:
            self._plan.refuse_elsewhere("step()")
            self._native_step(grads, grad_scale, zero_grads, *self._ask_schedules())
        else:
            self._native_step(grads, grad_scale, zero_grads)

    def _as_list(self, grads: Any) -> Any:
        if self._names is not None:
            if not isinstance(grads, Mapping):
                raise TypeError(f"grads: expected a dict, as the parameters were, got {shown(grads)}")
            by_name = {str(name): grad for name, grad in grads.items()}
            if by_name.keys() != set(self._names) or len(by_name) != len(grads):
                raise ValueError(f"grads: expected the keys {self._names}, got {list(by_name)}")
            return [by_name[name] for name in self._names]
        return [grads] if isinstance(grads, (np.ndarray, SparseRows)) else grads

    def bind_grads(self, grads: Gradients) -> None:
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
        """Norm of all gradients of the last step, after unscaling and `clip_value`, before `clip_norm`.

        It is of the type that `clip_norm_type` says, and of all tensors together also where each is clipped
        by its own. None if that step took none: it is measured with `clip_norm` or ``nonfinite="skip"`` or
        ``"raise"``.
        """
        norm = float(self._plan.norm)
        return None if norm < 0 else norm

    # --- parameters elsewhere for a while ---

    def lookahead(self) -> AbstractContextManager[None]:
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
        ask = self._ask_schedules if self._schedules else None
        context: AbstractContextManager[None] = self._plan.lookahead(ask)
        return context

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

    def ema_weights(self) -> AbstractContextManager[None]:
        """Swap the averages in, for ``with opt.ema_weights(): evaluate()``, and the parameters back, bit for
        bit, also after an exception.

        Inside, `state_dict` and `save` work as ever (they hold no parameters); `step`, `load_state_dict`,
        `load` and `add_param_group` raise RuntimeError, in every thread.

        Raises
        ------
        RuntimeError
            If there is no average yet, if nested, or if a call on this optimizer has not returned yet.
        """
        _ = self.ema
        context: AbstractContextManager[None] = self._plan.ema_weights()
        return context

    # --- state ---

    @property
    def params(self) -> Mapping[Any, Array]:
        """The parameter arrays, in the order of `step`'s gradients, as a read-only mapping.

        The keys are the names if the parameters were given as a dict, as strings, else 0, 1, ...:
        ``list(opt.params)`` lists them.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> list(fastopt.SGD({"w": np.ones(2), "b": np.zeros(1)}).params)
        ['w', 'b']
        """
        return parameters(self)

    @property
    def state(self) -> Mapping[Any, Mapping[str, Any]]:
        """What the rule keeps of each parameter: ``opt.state[key]``, with a key of `params` or the array.

        Each is a read-only mapping with ``"step"``, the number of updates so far, and the states by the names
        of `state_dict`; before the first update there is ``"step"`` alone. Arrays are read-only views of the
        engine's own: later steps are seen through them, and while another thread is in `step`, a step half
        done. States in eight bits are float32 copies instead, and so is ``"master"``, the whole numbers of
        parameters with `master` or Kahan's rounding. `state_dict` makes copies of one moment.

        Raises
        ------
        KeyError
            If this is no parameter here.
        RuntimeError
            On look-up, if a call on this optimizer has not returned yet.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> w = np.array([1.0, -2.0])
        >>> opt = fastopt.SGD([w], lr=0.1, momentum=0.9)
        >>> opt.step([2 * w])
        >>> opt.state[w]["step"], opt.state[0]["momentum_buffer"]
        (1, array([ 2., -4.]))
        """
        return State(self)

    def state_dict(self) -> dict[str, Any]:
        """Everything that influences the next step, in the shape and with the names of PyTorch's
        `state_dict`.

        Returns
        -------
        dict
            ``"state"``: {index: {"step": int, name: array or float, ...}} of every parameter that was updated
            at least once; ``"param_groups"``: a list of dicts with the hyper-parameters and the indices of
            the group, with ``"param_names"`` if the parameters were given as a dict; and ``"fastopt"``:
            class, counters, options, averages. The arrays are copies, all of one moment between two steps.

        Raises
        ------
        RuntimeError
            If a call on this optimizer has not returned yet.
        """
        return _state.collect(self)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], *, override: Mapping[str, Any] | None = None
    ) -> None:
        """Continue from a `state_dict` of this class, with the same groups and shapes; PyTorch's are taken as
        well.

        The arrays are copied into this optimizer's own. Nothing changes if anything does not fit. Where both
        sides have names (parameters given as a dict), parameters are matched by them, else by position.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`.
        override : dict, optional
            What is to be otherwise than it was saved: hyper-parameters (``{"lr": schedule}``) of all groups,
            or of each with ``{"param_groups": [{"lr": 0.1}, {}]}``, where the latter has precedence; and
            options (``{"clip_norm": 2.0}``) with the values that this optimizer was made with. Averages that
            this optimizer does not keep are dropped with ``{"ema_decay": None}``; those that the state does
            not have begin at the next step. What chooses the formula cannot be changed.

        Raises
        ------
        CheckpointError
            Listing every entry that does not fit, what was expected and what came; a ValueError.
        TypeError, ValueError
            If the override is not one.
        RuntimeError
            If a call on this optimizer has not returned yet, or inside `lookahead` or `ema_weights`.

        Examples
        --------
        >>> import numpy as np, fastopt
        >>> short = fastopt.SGD([np.ones(3)], lr=fastopt.schedules.cosine(0.1, total=10))
        >>> longer = fastopt.schedules.cosine(0.1, total=20)
        >>> opt = fastopt.SGD([np.ones(3)], lr=longer, clip_norm=2.0)
        >>> opt.load_state_dict(short.state_dict(), override={"lr": longer, "clip_norm": 2.0})
        """
        _restore.restore(self, state_dict, override)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the state to a checkpoint file: `.npz` without pickle, checksummed, replaced as a whole or
        not at all.

        It holds NO parameters: `fastopt.save` writes them, the optimizer and more into one file. The state is
        copied first, then written: steps in other threads may go on meanwhile.
        """
        _state.save(self, path)

    def load(self, path: str | PathLike[str], *, override: Mapping[str, Any] | None = None) -> None:
        """Continue from a file that `save` wrote (it holds no parameters). Nothing changes if the file is
        damaged or does not fit; the CheckpointError lists why. `override` is that of `load_state_dict`.
        """
        _state.load(self, path, override)

    def _modes(self) -> dict[str, Any]:
        """What a state dict holds besides, of rules that have modes."""
        return {}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__}("]
        for i, group in enumerate(self.param_groups):
            shown_values = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            sizes = sum(p.size for p in group["params"])
            lines.append(f"  group {i}: {len(group['params'])} arrays, {sizes} elements; {shown_values}")
        options = _state.options_of(self).items()
        chosen = [f"{key}={value!r}" for key, value in options if value != _state.DEFAULTS[key]]
        return "\n".join([*lines, *(["  " + ", ".join(chosen)] if chosen else []), ")"])

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
