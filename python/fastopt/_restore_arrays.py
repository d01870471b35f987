"""The arrays of a saved state, as the plan takes them: in the precision of this optimizer's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastopt import _dispatch
from fastopt._memory import axes_of, flat_of
from fastopt._precision import (
    GROUP,
    Coded,
    Remainder,
    is_bfloat16,
    like,
    narrowed,
    why_no_scales,
    widened,
)

if TYPE_CHECKING:
    from fastopt.optimizer import Optimizer

__all__ = ["read_arrays"]

Array = NDArray[Any]


def read_arrays(
    opt: Optimizer, i: int, label: str, present: Mapping[str, Any], convert: set[str]
) -> tuple[dict[str, Array | tuple[Array, Array]], Array | None]:
    """States by name, codes with their scales, and the remainder of the parameter.

    `convert`: options whose saved values do not matter; with ``"state_dtype"`` among them states are
    converted from the precision in which they come.
    """
    theta = opt._params[i]
    rule = opt._rules[i]
    positive = {name: codes == "u" for name, codes in zip(rule["states"], rule["codes"], strict=True)}
    if any("." in name for name in present):
        _check_order(label, present, theta)
    arrays = {}
    for name, own in opt._states[i].items():
        if "state_dtype" in convert and _kind(present, name) != _kind_of(own):
            arrays[name] = _converted(label, name, present, own, theta, positive[name])
        elif isinstance(own, Coded):
            arrays[name] = _codes(label, name, present, own)
        else:
            arrays[name] = _plain(label, name, present, own)
    return arrays, _remainder(label, present, opt._remainders[i], bool(convert & {"master", "rounding"}))


def _check_order(label: str, present: Mapping[str, Any], theta: Array) -> None:
    axes = axes_of(theta)
    saved = present.get("axes")
    if saved is None:  # from fastopt.torch, whose codes lie as its parameter
        codes = next((np.asarray(v) for name, v in present.items() if name.endswith(".codes")), theta)
        saved = axes_of(codes) if codes.shape == theta.shape else sorted(map(abs, axes))
    if list(saved) != axes:
        raise ValueError(
            f"{label}: its codes are in another order of memory than the parameter: axes {list(saved)}, "
            f"the parameter's are {axes}"
        )


def _plain(label: str, name: str, present: Mapping[str, Any], own: Array) -> Array:
    if name not in present:
        hint = " (it is there in eight bits)" if f"{name}.codes" in present else ""
        raise ValueError(f"{label}: expected {name!r}, it is missing{hint}")
    array = np.asarray(present[name])
    if {array.dtype.name, own.dtype.name} == {"uint16", "bfloat16"}:  # the bits, where no dtype is installed
        array = array.view(own.dtype)
    if array.dtype != own.dtype:
        raise TypeError(f"{label}[{name!r}]: expected dtype {own.dtype}, got {array.dtype}")
    if array.shape != own.shape:
        raise ValueError(f"{label}[{name!r}]: expected shape {own.shape}, got {array.shape}")
    return array


def _codes(label: str, name: str, present: Mapping[str, Any], own: Coded) -> tuple[Array, Array]:
    found = []
    for part, mine in (("codes", own.codes), ("scales", own.scales)):
        key = f"{name}.{part}"
        if key not in present:
            hint = f" (there is {name!r} in another precision)" if name in present else ""
            raise ValueError(f"{label}: expected {key!r}, it is missing{hint}")
        array = np.asarray(present[key])
        if part == "codes" and array.shape == mine.shape:  # in the order of memory, which was compared
            array = flat_of(array)
        if array.dtype != mine.dtype or array.shape != (mine.size,):
            raise TypeError(
                f"{label}[{key!r}]: expected {mine.dtype} of shape ({mine.size},), "
                f"got {array.dtype} of shape {array.shape}"
            )
        found.append(np.ascontiguousarray(array))
    _check_scales(label, name, found[0], found[1], own.positive)
    return found[0], found[1]


def _check_scales(label: str, name: str, codes: Array, scales: Array, positive: bool) -> None:
    reason = why_no_scales(codes, scales, positive)
    if reason is not None:
        raise ValueError(f"{label}[{name + '.scales'!r}]: expected scales of codes, >= 0, but {reason}")


def _remainder(label: str, present: Mapping[str, Any], own: Remainder | None, another: bool) -> Array | None:
    saved = [name for name in present if name.startswith("master.")]
    if own is None:
        if saved and not another:
            raise ValueError(f"{label}: has {saved[0]!r}, this optimizer keeps none")
        return None
    key = f"master.{own.kind}"
    if saved != [key]:
        if another and len(saved) == 1 and {own.kind, saved[0][7:]} == {"split16", "split8"}:
            return _other_split(np.asarray(present[saved[0]]), own.array.size, label)
        if another:  # the parameters as they are now
            return np.zeros(own.array.size, own.array.dtype)
        raise ValueError(f"{label}: expected {key!r}, {f'got {saved[0]!r}' if saved else 'it is missing'}")
    array = np.asarray(present[key])
    alike = array.dtype == own.array.dtype or (is_bfloat16(array) and is_bfloat16(own.array))
    if another and not alike:
        return np.zeros(own.array.size, own.array.dtype)
    if not alike or array.shape != (own.array.size,):
        hint = (
            "; override={'rounding': 'kahan'} takes the parameters as they are" if own.kind == "kahan" else ""
        )
        raise TypeError(
            f"{label}[{key!r}]: expected {_name(own.array)} of shape ({own.array.size},), "
            f"got {_name(array)} of shape {array.shape}{hint}"
        )
    return np.ascontiguousarray(array)


def _name(array: Array) -> str:
    return "bfloat16" if is_bfloat16(array) else str(array.dtype)


def _other_split(lower: Array, size: int, label: str) -> Array:
    """The lower part of the same numbers in 16 bits of 8, or rounded to 8 of 16."""
    if lower.shape != (size,) or lower.dtype.itemsize not in (1, 2):
        raise TypeError(f"{label}: expected a remainder of shape ({size},), got {lower.dtype} {lower.shape}")
    if lower.dtype.itemsize == 1:
        wider: Array = lower.astype(np.int16) << np.int16(8)
        return wider
    narrower: Array = np.minimum((lower.astype(np.int32) + 0x80) >> 8, 127).astype(np.int8)
    return narrower


# --- another precision ---


def _kind(present: Mapping[str, Any], name: str) -> str:
    if f"{name}.codes" in present:
        return "codes"
    dtype = getattr(present.get(name), "dtype", None)
    return "bfloat16" if str(dtype) in ("uint16", "bfloat16") else str(dtype)


def _kind_of(own: Array | Coded) -> str:
    if isinstance(own, Coded):
        return "codes"
    return "bfloat16" if is_bfloat16(own) else str(own.dtype)


def _converted(
    label: str, name: str, present: Mapping[str, Any], own: Array | Coded, theta: Array, positive: bool
) -> Array | tuple[Array, Array]:
    """To nearest."""
    if f"{name}.codes" in present:
        codes, scales = (np.asarray(present.get(f"{name}.{part}")) for part in ("codes", "scales"))
        codes = flat_of(codes) if codes.shape == theta.shape else codes
        if codes.size != theta.size:
            raise ValueError(f"{label}[{name + '.codes'!r}]: expected {theta.size} codes, got {codes.size}")
        if scales.dtype == np.float32 and scales.shape == (-(-codes.size // GROUP),):
            _check_scales(label, name, codes, scales, positive)
        try:
            values = like(theta, _dispatch.core.decode(codes, scales, positive))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{label}[{name!r}]: {error}") from None
    elif name in present:
        values = np.asarray(present[name])
        if values.shape != theta.shape:
            raise ValueError(f"{label}[{name!r}]: expected shape {theta.shape}, got {values.shape}")
        if values.dtype.itemsize == 2:
            values = widened(values)
    else:
        raise ValueError(f"{label}: expected {name!r}, it is missing")
    if not isinstance(own, Coded):
        return narrowed(values, own.dtype)
    ordered = like(theta, np.zeros(theta.size, np.float32))
    ordered[...] = values
    coded: tuple[Array, Array] = _dispatch.core.encode(flat_of(ordered), positive)
    return coded
