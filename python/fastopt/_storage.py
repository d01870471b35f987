"""How numbers are kept: the keywords `state_dtype`, `rounding`, `master`, `seed` and `shadow`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from fastopt._checks import integer, shown, word
from fastopt._memory import buffers, flat_of, state_dtype_of, storage_dtype
from fastopt._precision import GROUP, Coded, Remainder, is_bfloat16

__all__ = ["Storage", "read_shadow", "shape_of_state"]

Array = NDArray[Any]
Rounding = Literal["nearest", "stochastic", "kahan"]
Master = Literal["split16", "split8"]

#: The lower parts of bfloat16 parameters; Kahan's have the parameter's dtype.
REMAINDERS = {"split16": "int16", "split8": "int8"}
#: Below so many elements `state_dtype="int8"` saves nothing that is worth its noise.
SMALL = 4096


@dataclass(frozen=True)
class Storage:
    """The choices of a whole optimizer."""

    state_dtype: np.dtype[Any] | Literal["int8"] | Mapping[str, np.dtype[Any] | Literal["int8"]] | None
    rounding: Rounding
    master: Master | None
    seed: int

    @classmethod
    def read(cls, given: dict[str, Any]) -> Storage:
        """Take the keywords out of `given` and check each alone."""
        rounding, master = given.pop("rounding", "nearest"), given.pop("master", None)
        word("rounding", rounding, get_args(Rounding), "'nearest', 'stochastic' or 'kahan'")
        if master is not None:
            word("master", master, get_args(Master), "'split16', 'split8' or None")
        if master is not None and rounding == "kahan":
            raise ValueError(
                "rounding: 'kahan' keeps what rounding leaves out, and so does master; choose one"
            )
        if master == "split16" and rounding == "stochastic":
            raise ValueError("rounding: expected 'nearest' with master='split16', which rounds nothing")
        seed = integer("seed", given.pop("seed", 0), minimum=0, maximum=2**63 - 1)
        state_dtype = _read_state_dtype(given.pop("state_dtype", None))
        return cls(state_dtype, cast(Rounding, rounding), cast("Master | None", master), seed)

    def options(self) -> dict[str, Any]:
        """As a state dict has them."""
        return {
            "state_dtype": {name: _word(d) for name, d in self.state_dtype.items()}
            if isinstance(self.state_dtype, Mapping)
            else _word(self.state_dtype),
            "rounding": self.rounding,
            "master": self.master,
            "seed": self.seed,
        }

    # --- states ---

    def check(self, name: str, rule: Mapping[str, Any], known: set[str]) -> None:
        """Raise if the rule of class `name` cannot keep its states so. `known`: with any flags."""
        wanted = self.state_dtype
        if isinstance(wanted, Mapping):
            unknown = sorted(set(wanted) - known)
            if unknown:
                raise ValueError(
                    f"state_dtype: {name} has no state {unknown[0]!r}; its states are {sorted(known)}"
                )
        _refuse_float16(name, rule, wanted)
        kinds = zip(rule["states"], rule["exact"], rule["codes"], rule["shapes"], strict=True)
        for state, exact, codes, shape in kinds:
            if not state or not isinstance(wanted, Mapping) or state not in wanted:
                continue
            if shape or (exact and _few_bits(wanted[state])):
                raise TypeError(
                    f"state_dtype: the state {state!r} of {name} is kept as it is computed"
                    + ("" if shape else ": rounding it would move parameters")
                )
            if isinstance(wanted[state], str) and not codes:
                raise TypeError(f"state_dtype: eight bits cannot hold the state {state!r} of {name}")
        if isinstance(wanted, str) and any(rule["states"]) and not any(rule["codes"]):
            raise TypeError(
                f"state_dtype: {name} has no state that eight bits can hold: sums, maxima and what is "
                "compared from step to step keep every rounding error"
            )
        kept = [bool(e or s) for e, s in zip(rule["exact"], rule["shapes"], strict=True)]
        named = [k for k, state in zip(kept, rule["states"], strict=True) if state]
        if not isinstance(wanted, Mapping) and _few_bits(wanted) and named and all(named):
            raise TypeError(
                f"state_dtype: {name} has no state that {_word(wanted)} can hold: what parameters are formed "
                "of, and numbers of rows and matrices, are kept as they are computed"
            )

    def states(
        self,
        rules: Sequence[Mapping[str, Any]],
        arrays: Sequence[Array],
        labels: Sequence[str],
        batch_axes: Sequence[int],
    ) -> list[tuple[Array | Coded | None, ...]]:
        """Memory for the states of parameters, in the order of the rule of each."""
        result: list[tuple[Array | Coded | None, ...]] = [()] * len(arrays)
        for rule in {id(rule): rule for rule in rules}.values():
            which = [i for i, other in enumerate(rules) if other is rule]
            slots: list[Sequence[Array | Coded | None]] = []
            for s, (name, shape) in enumerate(zip(rule["states"], rule["shapes"], strict=True)):
                if shape and name:
                    slots.append([_shaped(rule, s, arrays[i], batch_axes[i]) for i in which])
                elif name:
                    slots.append(self._slot(rule, s, [(arrays[i], labels[i]) for i in which]))
                else:
                    slots.append([None] * len(which))
            for place, i in enumerate(which):
                result[i] = tuple(slot[place] for slot in slots)
        return result

    def _slot(
        self, rule: Mapping[str, Any], slot: int, of: Sequence[tuple[Array, str]]
    ) -> list[Array | Coded | None]:
        """One state of some parameters, with their labels."""
        made = buffers([a for a, _ in of], [self.dtype_of(rule, slot, *one) for one in of], slot)
        positive = rule["codes"][slot] == "u"
        return [
            Coded(a, np.zeros(-(-a.size // GROUP), np.float32), positive) if a.itemsize == 1 else a
            for a in made
        ]

    def dtype_of(self, rule: Mapping[str, Any], state: int, array: Any, label: str) -> np.dtype[Any]:
        """How a state of the parameter `array` is kept; uint8 for codes."""
        mapping = isinstance(self.state_dtype, Mapping)
        name, codes = rule["states"][state], rule["codes"][state]
        wanted = self.state_dtype.get(name) if isinstance(self.state_dtype, Mapping) else self.state_dtype
        if not isinstance(wanted, str):
            found, computed = state_dtype_of(array, wanted), state_dtype_of(array, None)
            if not rule["exact"][state] or found == computed:
                return found
            if mapping:
                raise TypeError(
                    f"state_dtype: {label} is {array.dtype}, and its state {name!r} is kept as it is "
                    "computed: rounding it would move the parameter"
                )
            return computed
        if array.dtype == np.float64:
            raise TypeError(
                f"state_dtype: {label} is float64; eight bits are for what is computed in float32, "
                "that is float32 and half-precision parameters"
            )
        if not codes or (array.size < SMALL and not mapping):
            return np.dtype(np.float32)
        return np.dtype(np.uint8)

    # --- parameters ---

    @property
    def remainder(self) -> str | None:
        """What is kept beside half-precision parameters, by its kind."""
        return "kahan" if self.rounding == "kahan" else self.master

    def check_use(self, arrays: Sequence[Array]) -> None:
        """Raise if no parameter is of the precision that `rounding` and `master` are about."""
        found = ", ".join(dict.fromkeys(str(a.dtype) for a in arrays))
        if self.master is not None and not any(is_bfloat16(a) for a in arrays):
            raise TypeError(f"master: expected bfloat16 parameters, got {found}")
        if self.rounding != "nearest" and not any(a.itemsize == 2 for a in arrays):
            raise TypeError(f"rounding: {self.rounding!r} is for half-precision parameters, got {found}")

    def remainders(self, arrays: Sequence[Array], labels: Sequence[str]) -> list[Remainder | None]:
        """What parameters leave out: nothing yet."""
        found: list[Remainder | None] = []
        for array, label in zip(arrays, labels, strict=True):
            kind = self.remainder_of(str(array.dtype), label)
            if kind is None:
                found.append(None)
                continue
            rest = buffers([array], [np.dtype(REMAINDERS.get(kind, array.dtype))], slot=6)[0]
            flat_of(rest).view(np.uint8)[...] = 0
            found.append(Remainder(kind, rest))
        return found

    def remainder_of(self, dtype: str, label: str) -> str | None:
        """What is kept beside a parameter of this dtype; uint16 is bfloat16."""
        if dtype not in ("bfloat16", "uint16", "float16"):
            return None
        if self.master is not None and dtype == "float16":
            raise TypeError(f"{label}: master={self.master!r} needs bfloat16, got {dtype}")
        return self.remainder


def shape_of_state(
    rule: Mapping[str, Any], state: int, of: Sequence[int], batch_axes: int
) -> tuple[int, ...]:
    """The shape of a state of a rule of matrices, of a parameter of shape `of`: see rules::Shape."""
    kind: str = rule["shapes"][state]
    if kind == "own":
        own: tuple[int, ...] = rule["own_shapes"][state]
        return own
    of = of or (1,)  # a number is a row
    batch, rows, columns = tuple(of[:batch_axes]), of[batch_axes], math.prod(of[batch_axes + 1 :])
    return (
        *batch,
        *{
            "rows": (rows,),
            "columns": (columns,),
            "square_of_rows": (rows, rows),
            "square_of_columns": (columns, columns),
            "matrix": (rows, columns),
        }[kind],
    )


def _shaped(rule: Mapping[str, Any], state: int, array: Array, batch_axes: int) -> Array:
    return np.zeros(shape_of_state(rule, state, array.shape, batch_axes), state_dtype_of(array, None))


def _few_bits(dtype: np.dtype[Any] | str | None) -> bool:
    """Whether it is a half type."""
    return isinstance(dtype, np.dtype) and dtype.itemsize == 2


def _refuse_float16(name: str, rule: Mapping[str, Any], wanted: Any) -> None:
    others = "" if isinstance(wanted, Mapping) else "; a dict may choose float16 for its others"
    for state, squared, small, codes in zip(
        rule["states"], rule["squared"], rule["small"], rule["codes"], strict=True
    ):
        dtype = wanted.get(state) if isinstance(wanted, Mapping) else wanted
        if isinstance(dtype, str) or dtype != np.float16 or not (squared or small):
            continue
        why = (
            "holds squares of gradients, in float16 0 below 2e-4 and infinite from 256 on"
            if squared
            else "must not be 0 for small gradients, as it is in float16 below 6e-8"
        )
        fit = "float32, bfloat16 or int8" if squared or codes else "float32 or bfloat16"
        raise TypeError(
            f"state_dtype: expected {fit} for {name}, got float16: its state {state!r} {why}{others}"
        )


def _read_state_dtype(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {str(name): _state_dtype(value) for name, value in given.items()}
    return _state_dtype(given)


def _state_dtype(given: Any) -> Any:
    if given is None:
        return None
    if isinstance(given, str) and given == "int8":
        return "int8"
    if isinstance(given, (str, type, np.dtype)) and str(given) != "bfloat16":
        try:
            if np.dtype(given) == np.int8:
                return "int8"
        except TypeError:
            pass
    return storage_dtype(given)


def _word(dtype: np.dtype[Any] | str | None) -> str | None:
    if dtype is None or isinstance(dtype, str):
        return dtype
    return "bfloat16" if dtype.itemsize == 2 and dtype.name != "float16" else dtype.name


def read_shadow(shadow: Any, params: Sequence[Array], label: str) -> list[Array | None]:
    """One array, or one or None for each parameter of a group."""
    if shadow is None:
        return [None] * len(params)
    arrays = [shadow] if isinstance(shadow, np.ndarray) else shadow
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"{label}: expected an array or a list of arrays, got {shown(shadow)}")
    if len(arrays) != len(params):
        raise ValueError(f"{label}: expected {len(params)} arrays, one for each parameter, got {len(arrays)}")
    for i, (array, theta) in enumerate(zip(arrays, params, strict=True)):
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or not (is_bfloat16(array) or array.dtype == np.float16):
            raise TypeError(f"{label}[{i}]: expected a bfloat16 or float16 array, got {shown(array)}")
        if isinstance(theta, np.ndarray) and theta.dtype != np.float32:
            raise TypeError(f"{label}[{i}]: expected None, its parameter is {theta.dtype} and not float32")
        if isinstance(theta, np.ndarray) and theta.shape != array.shape:
            raise ValueError(f"{label}[{i}]: expected the parameter's shape {theta.shape}, got {array.shape}")
    return list(arrays)
